package auth0_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
)

// publishedRejections lists the endpoints of the Authentication API's global
// limit by the form that their rejections take: 150 rows of an older policy
// text. Braces stand for any one segment.
func publishedRejections() map[rejectionForm]string {
	return map[rejectionForm]string{
		{"error_page", 429}: `
GET /authorize
GET /passwordless/verify_redirect
GET /activate
POST /activate
POST /u/reset-password/request/{connection}
GET /u/consent
POST /u/consent
GET /u/login
POST /u/login
GET /u/mfa-country-codes
POST /u/mfa-country-codes
GET /u/mfa-email-challenge
POST /u/mfa-email-challenge
GET /u/mfa-email-enrollment
POST /u/mfa-email-enrollment
GET /u/mfa-email-enrollment-verify
POST /u/mfa-email-enrollment-verify
GET /u/mfa-email-list
POST /u/mfa-email-list
GET /u/mfa-enroll-options
POST /u/mfa-enroll-options
GET /u/mfa-guardian-list
POST /u/mfa-guardian-list
GET /u/mfa-guardian-welcome
POST /u/mfa-guardian-welcome
GET /u/mfa-login-options
POST /u/mfa-login-options
GET /u/mfa-otp-challenge
POST /u/mfa-otp-challenge
GET /u/mfa-otp-enrollment
POST /u/mfa-otp-enrollment
GET /u/mfa-push-challenge
POST /u/mfa-push-challenge
GET /u/mfa-push-enrollment
POST /u/mfa-push-enrollment
GET /u/mfa-recovery-code-challenge
POST /u/mfa-recovery-code-challenge
GET /u/mfa-recovery-code-challenge-new-code
POST /u/mfa-recovery-code-challenge-new-code
GET /u/mfa-recovery-code-enrollment
POST /u/mfa-recovery-code-enrollment
GET /u/mfa-sms-challenge
POST /u/mfa-sms-challenge
GET /u/mfa-sms-enrollment
POST /u/mfa-sms-enrollment
GET /u/mfa-sms-enrollment-verify
POST /u/mfa-sms-enrollment-verify
GET /u/mfa-sms-list
POST /u/mfa-sms-list
GET /u/reset-password
POST /u/reset-password
GET /u/reset-password/request/{connection}
GET /u/signup
POST /u/signup
GET /decision
POST /decision
GET /rms
GET /samlp/{clientID}/logout
POST /samlp/{clientID}/logout
GET /wsfed
GET /wsfed/{clientID}
GET /wsfed/{clientID}/FederationMetadata/2007-06/FederationMetadata.xml
GET /wsfed/FederationMetadata/2007-06/FederationMetadata.xml
GET /changepwd/form
GET /continue
POST /continue
GET /i/login
GET /login
GET /login/callback
POST /login/callback
GET /logout
POST /logout
GET /mf
POST /mf
GET /unblock
GET /v2/logout`,
		{"json:too_many_requests", 429}: `
POST /dbconnections/change_password
GET /dbconnections/change_password
POST /dbconnections/self_change_password
POST /delegation
GET /delegation
GET /passwordless/start
POST /passwordless/start
POST /usernamepassword/login
GET /usernamepassword/login
GET /passwordless/verify
POST /passwordless/verify
GET /rms/{clientID}/FederationMetadata/2007-06/FederationMetadata.xml
GET /changepwd/completed
POST /changepwd/reset
GET /custom-login/preview
POST /dbconnections/delete
GET /dbconnections/login
POST /dbconnections/login
GET /dbconnections/signup
POST /dbconnections/signup
POST /dbconnections/verify_email
POST /state/introspect
POST /unlink
GET /users/{id}/impersonate
POST /users/{id}/impersonate`,
		{"json:access_denied", 429}: `
POST /co/authenticate
POST /oauth/device/code
POST /oauth/ro
GET /oauth/ro
POST /oauth/token
POST /oauth/introspect
GET /.well-known/openid-configuration
POST /mfa/associate
GET /mfa/authenticators
DELETE /mfa/authenticators/{authenticator_id}
POST /mfa/challenge
GET /oauth/access_token
POST /oauth/access_token
GET /sso_dbconnection_popup/{clientID}
GET /.well-known/apple-app-site-association
GET /.well-known/assetlinks.json
GET /apple-app-site-association
GET /i/oauth2/authorize
POST /oauth/reverse
POST /oauth/revoke`,
		{"text", 429}: `
GET /tokeninfo
POST /tokeninfo
POST /userinfo
GET /userinfo
GET /.well-known/jwks.json
GET /cer/{clientID}
GET /pb7/{clientID}
GET /pem/{clientID}
GET /rawpem/{clientID}
GET /samlp/{clientID}
POST /samlp/{clientID}
GET /samlp/metadata
GET /samlp/metadata/{clientID}
POST /drwatson
GET /p/{strategy}/{ticket}
POST /p/{strategy}/{ticket}
GET /p/{strategy}/{ticket}/info
GET /samlp/idp/slo
GET /aws-saml/metadata
POST /co/verify
GET /i/login/sso/{provider}
GET /user/ssodata`,
		{"xml:wst:RequestFailed", 429}: `
GET /{clientID}/trust/mex`,
		{"xml:wst:RequestFailed", 500}: `
POST /{clientID}/trust/usernamemixed`,
		{"xml:fed:BadRequest", 429}: `
GET /rms/{clientID}/adfs/fs/federationserverservice.asmx
POST /rms/{clientID}/adfs/fs/federationserverservice.asmx
GET /adfs/fs/federationserverservice.asmx
POST /adfs/fs/federationserverservice.asmx
GET /FederationMetadata/2007-06/FederationMetadata.xml`,
	}
}

type rejectionForm struct {
	name   string
	status int
}

// answer builds a rejection of the form, as the text prints it.
func (f rejectionForm) answer() *http.Response {
	h := http.Header{}
	h.Set("X-Ratelimit-Limit", "300")
	h.Set("X-Ratelimit-Remaining", "0")
	body := ""
	switch kind, detail, _ := strings.Cut(f.name, ":"); kind {
	case "json":
		h.Set("Content-Type", "application/json")
		body = `{"error":"` + detail + `","error_description":"Global rate limit exceeded","error_uri":"https://example.com/limits"}`
	case "text":
		h.Set("Content-Type", "text/plain")
		body = "Rate limit exceed"
	case "error_page":
		h.Set("Content-Type", "text/html")
		body = "<!DOCTYPE html><html><body>" + strings.Repeat("<p>Oops</p>", 2000) + "</body></html>"
	case "xml":
		h.Set("Content-Type", "application/xml")
		body = `<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"><env:Body><env:Fault><env:Code>` +
			`<env:Value>env:Sender</env:Value><env:Subcode><env:Value>` + detail + `</env:Value></env:Subcode></env:Code>` +
			`<env:Reason><env:Text xml:lang="en">Global rate limit exceeded</env:Text></env:Reason><env:Detail/></env:Fault></env:Body></env:Envelope>`
	}
	return reply(f.status, h, body)
}

// Each of the 150 published rejections is recognised, waited for, and answered
// by sending the request again.
func TestTransportRequeuesEveryPublishedRejection(t *testing.T) {
	t.Parallel()
	rows := 0
	for form, list := range publishedRejections() {
		for row := range strings.Lines(strings.TrimSpace(list)) {
			rows++
			method, path, _ := strings.Cut(strings.TrimSpace(row), " ")
			t.Run(fmt.Sprintf("%s %s %s", form.name, method, path), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					sent := 0
					tr := auth0.NewTransport(stub(func(*http.Request) (*http.Response, error) {
						if sent++; sent == 1 {
							return form.answer(), nil
						}
						return reply(200, nil, "fine"), nil
					}), roomy(t))
					req := newRequest(t, method, strings.NewReplacer("{", "a", "}", "b").Replace(path), strings.NewReader("grant_type=password"))
					req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					got, err := fetch(t, tr, req)
					if err != nil {
						t.Fatal(err)
					}
					if got.body != "fine" || sent != 2 {
						t.Fatalf("sent %d times, got %q; the rejection was not recognised", sent, got.body)
					}
					if !got.known || got.info.Rejections != 1 || got.info.Rejected {
						t.Errorf("facts %+v; want one rejection before a good answer", got.info)
					}
				})
			})
		}
	}
	if rows != 150 {
		t.Fatalf("%d rows, the text has 150", rows)
	}
}

// The error of a rejection names the bucket and says when there is room again.
func TestErrorOfARejection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reject := true
		c := newClient(t, func(*http.Request) (*http.Response, error) {
			if !reject {
				return replyJSON(http.StatusOK, `{}`), nil
			}
			resp := replyJSON(http.StatusTooManyRequests, `{"statusCode":429,"error":"Too Many Requests","message":"Global limit has been reached"}`)
			resp.Header["X-Ratelimit-Limit"], resp.Header["X-Ratelimit-Remaining"] = []string{"1"}, []string{"0"}
			return resp, nil
		}, auth0.WithLimiter(one(t)), auth0.WithMaxRejections(0))
		get := func() error {
			_, err := auth0.Call[auth0.NoContent](t.Context(), c, "GET", "/api/v2/clients", nil, nil, nil, nil)
			return err
		}
		var e *auth0.Error
		if err := get(); !errors.As(err, &e) || e.Bucket != "all" || e.NextIn < time.Second {
			t.Fatalf("error %v, want a rejection by the bucket all, with a token in a second or later", err)
		}
		if want := "bucket all, next in " + e.NextIn.String(); !strings.Contains(e.Error(), want) {
			t.Errorf("error %q, want %q in it", e, want)
		}
		reject = false
		began := time.Now()
		if err := get(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != e.NextIn {
			t.Errorf("the next went after %v, where the error said %v", took, e.NextIn)
		}
	})
}
