package auth0test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/headroom-go/auth0/ratelimit"
)

// Whatever is asked, the tenant answers, with a body of the announced length,
// and counts the request once.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][4]string{
		{"POST", "/api/v2/users", "application/json", "{" + connection + `,"email":"a@example.com","password":"x"}`},
		{"PATCH", "/api/v2/users/auth0%7C1", "application/json", `{"user_metadata":{"a":null},"email":null}`},
		{"GET", "/api/v2/users?q=email:%22a%5C%22%22%20AND%20a.b:c*&sort=x:-1&fields=a,b&per_page=0", "", ""},
		{"POST", "/oauth/token", "application/x-www-form-urlencoded", tokenForm(DefaultClientID, DefaultClientSecret, managementAudience)},
		{"POST", "/api/v2/jobs/users-imports", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"users\"; filename=\"u\"\r\n\r\n[{\"email\":1},null]\r\n--b\r\nContent-Disposition: form-data; name=\"connection_id\"\r\n\r\n" + testConnection + "\r\n--b--\r\n"},
		{"GET", "/api/v2/jobs/x/errors", "", ""},
		{"GET", strings.TrimPrefix(authorizeURL("prompt", "none", "max_age", "1"), base), "", ""},
		{"GET", strings.TrimPrefix(authorizeURL("response_mode", "form_post", "prompt", "none"), base), "", ""},
		{"POST", "/oauth/par", formType, "client_id=app&response_type=code&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&code_challenge=x&request=a.b.c"},
		{"POST", "/oauth/token", formType, "client_id=app&grant_type=authorization_code&code=x&client_assertion=e30.e30.&client_assertion_type=" + url.QueryEscape(assertionType)},
		{"POST", "/oauth/token", formType, "client_id=app&grant_type=password&username=ada@example.com&password=ada-password&scope=openid+offline_access"},
		{"POST", "/oauth/device/code", formType, "client_id=app"},
		{"POST", "/bc-authorize", formType, "client_id=web&client_secret=web-secret&binding_message=a&scope=openid&login_hint={\"format\":\"iss_sub\"}"},
		{"POST", "/mfa/associate", "application/json", `{"authenticator_types":["oob"],"oob_channels":[1]}`},
		{"DELETE", "/mfa/authenticators/x", "", ""},
		{"POST", "/passwordless/start", "application/json", `{"client_id":"web","connection":"email","email":"a@example.com"}`},
		{"POST", "/dbconnections/signup", "application/json", `{"connection":"` + DefaultConnection + `","email":"e@example.com","password":"eve-password","user_metadata":{"a":null}}`},
		{"GET", "/oidc/logout?id_token_hint=a.b.c&state=%ff&post_logout_redirect_uri=x", "", ""},
		{"DELETE", "/%2e%2e/%zz/..//x", "text/plain; =", "\xff\x00"},
		{"BREW", "/u/login?state=%ff", "multipart/form-data", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	p, err := ratelimit.Named("enterprise")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, target, contentType, body string) {
		u, err := url.Parse(base + target)
		if err != nil || u.Host != DefaultDomain || u.Path == ReportPath {
			return // no address of the tenant's
		}
		clock := newClock()
		o := shop()
		o.Plan, o.Clock, o.AnyToken = p, clock.Now, true
		o.Connections = []Connection{{ID: testConnection, Name: DefaultConnection}}
		o.Clients = append(o.Clients, Client{ID: DefaultClientID, Secret: DefaultClientSecret})
		o.Policies, o.ClientQuota = []Policy{{Selector: "default", Quota: 5}}, Quota{PerHour: 1}
		tenant := MustNew(o)
		ask := func(r *http.Request) {
			resp, err := tenant.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil || resp.Body.Close() != nil {
				t.Fatal(err)
			}
			if resp.StatusCode < 200 || resp.StatusCode > 599 || method != http.MethodHead && int64(len(b)) != resp.ContentLength {
				t.Fatalf("status %d, %d bytes, Content-Length %d", resp.StatusCode, len(b), resp.ContentLength)
			}
		}
		r := &http.Request{Method: method, URL: u, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body))}
		ask(r.WithContext(context.Background()))
		clock.set(time.Hour) // jobs end
		r.Body = io.NopCloser(strings.NewReader(body))
		ask(r.WithContext(context.Background()))
		if got := tenant.Report(); got.Requests != 2 || got.Accepted+got.Rejected != 2 {
			t.Fatalf("report %+v", got)
		}
	})
}

// The token and the key of RFC 7515, appendix A.3.
const (
	standardJWT = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ." +
		"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	standardKey = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
)

func TestStandardJWT(t *testing.T) {
	t.Parallel()
	key, _ := publicJWK([]byte(standardKey))
	if j := parseJWT(standardJWT); key == nil || !j.signedBy(key) || j.text("iss") != "joe" {
		t.Error("the example of RFC 7515 is not signed")
	}
	// RFC 7638, section 3.1.
	const n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W" +
		"-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyr" +
		"dkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	if _, got := publicJWK([]byte(`{"kty":"RSA","alg":"RS256","kid":"2011-04-29","e":"AQAB","n":"` + n + `"}`)); got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("thumbprint %q", got)
	}
	for _, secret := range []string{`,"d":"AQAB"}`, `,"k":"AQAB"}`} {
		if key, _ := publicJWK([]byte(strings.TrimSuffix(standardKey, "}") + secret)); key != nil {
			t.Errorf("a key with a secret %s is taken", secret)
		}
	}
}

// Whatever is sent as a JWT or as a key, it is refused or it is signed.
func FuzzJWT(f *testing.F) {
	key, _ := publicJWK([]byte(standardKey))
	f.Add(standardJWT, `{"kty":"RSA","n":"AQAB","e":"AQAB"}`)
	f.Add("e30.e30.", `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`)
	f.Add("a.b", `{"kty":"EC","crv":"P-521","x":"","y":""}`)
	f.Fuzz(func(t *testing.T, token, jwk string) {
		other, name := publicJWK([]byte(jwk))
		if (other == nil) != (name == "") {
			t.Fatalf("%q: key %v, thumbprint %q", jwk, other, name)
		}
		j := parseJWT(token)
		if j == nil {
			return
		}
		_, dated := j.moment("exp")
		if ok := j.signedBy(key); ok && (j.text("iss") != "joe" || !dated) {
			t.Fatalf("%q is signed", token)
		}
		if other != nil {
			j.signedBy(other)
		}
	})
}
