package authentication_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/authentication"
)

// failure returns the error of a sign-up and of a login that get an answer.
func failure(t *testing.T, a answer) (*authentication.Error, error) {
	t.Helper()
	api := authentication.New(newClient(t, func(*http.Request, string) answer { return a }), authentication.None("app"))
	_, err := api.OAuth.Password(t.Context(), &authentication.Password{Username: "u", Password: "the-password"})
	e, _ := errors.AsType[*authentication.Error](err)
	if e == nil {
		t.Fatalf("error %v", err)
	}
	return e, err
}

// The description of a weak password, as the strength checker of database
// connections writes it.
func TestWeakPassword(t *testing.T) {
	t.Parallel()
	e, err := failure(t, replyJSON(400, `{"name":"PasswordStrengthError","code":"invalid_password","message":"Password is too weak","statusCode":400,
		"policy":"* At least 8 characters in length\n* At least 3 of the following",
		"description":{"verified":false,"rules":[
			{"code":"lengthAtLeast","message":"At least %d characters in length","format":[8],"verified":true},
			{"code":"containsAtLeast","message":"Contain at least %d of the following %d types of characters:","format":[3,4],"verified":false,
			 "items":[{"code":"lowerCase","message":"lower case letters (a-z)","verified":true}]}]}}`))
	if e.Code != authentication.InvalidPassword || len(e.PasswordRules) != 2 || !strings.HasPrefix(e.PasswordPolicy, "* At least 8") || !errors.Is(err, auth0.ErrBadRequest) {
		t.Fatalf("%#v %v", e.PasswordRules, e)
	}
	r := e.PasswordRules[1]
	if r.Code != "containsAtLeast" || r.Verified || len(r.Items) != 1 || !r.Items[0].Verified || r.Items[0].Code != "lowerCase" || fmt.Sprint(r.Format...) != "3 4" {
		t.Errorf("%+v", r)
	}
	if !e.PasswordRules[0].Verified {
		t.Errorf("%+v", e.PasswordRules[0])
	}
}

func TestOtherRefusals(t *testing.T) {
	t.Parallel()
	e, err := failure(t, replyJSON(403, `{"error":"unauthorized","error_description":"user is blocked"}`))
	if !e.UserBlocked || !errors.Is(err, auth0.ErrForbidden) {
		t.Errorf("blocked user: %v", e)
	}
	e, err = failure(t, replyJSON(429, `{"error":"too_many_attempts","error_description":"Your account has been blocked after multiple consecutive login attempts."}`))
	if !e.UserBlocked || !errors.Is(err, auth0.ErrTooManyAttempts) || errors.Is(err, auth0.ErrRateLimited) {
		t.Errorf("too many attempts: %v", e)
	}
	if e, _ = failure(t, replyJSON(403, `{"error":"access_denied","error_description":"not on the list"}`)); e.UserBlocked {
		t.Errorf("denied by an Action: %v", e)
	}
	login := authentication.NewLogin(authentication.Authorize{})
	for description, blocked := range map[string]bool{"user is blocked": true, "not on the list": false} {
		_, err := authentication.New(newClient(t, nil), authentication.None("app")).OAuth.FinishLogin(t.Context(), login, url.Values{
			"state": {login.Authorize.State}, "error": {"unauthorized"}, "error_description": {description},
		})
		if e, ok := errors.AsType[*authentication.Error](err); !ok || e.UserBlocked != blocked {
			t.Errorf("a browser that came back with %s: %v", description, err)
		}
	}
	e, _ = failure(t, replyJSON(400, `{"error":"invalid_request","error_description":"x","validation_errors":[{"field":"otp","message":"is too short"}]}`))
	if len(e.ValidationErrors) != 1 || e.ValidationErrors[0].Field != "otp" || e.ValidationErrors[0].Message != "is too short" {
		t.Errorf("validation: %+v", e.ValidationErrors)
	}
	e, _ = failure(t, replyJSON(400, `{"error":"slow_down","interval":12.5}`, "Retry-After", "3"))
	if e.Interval != 12500*time.Millisecond {
		t.Errorf("interval %v", e.Interval)
	}
	// One member of another type leaves the rest readable.
	e, _ = failure(t, replyJSON(403, `{"error":"mfa_required","mfa_requirements":7,"mfa_token":"m"}`))
	if e.Code != authentication.MFARequired || e.MFAToken != "m" {
		t.Errorf("odd requirements: %v", e)
	}
}

// Answers that are not JSON leave status and cause readable.
func TestAnswersInOtherForms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer      answer
		status      int
		limited     bool
		code        authentication.ErrorCode
		description string
	}{
		"HTML":             {reply(502, "text/html", "<html><body>Bad gateway</body></html>"), 502, false, "", ""},
		"HTML of a limit":  {reply(429, "text/html", "<html>Too many</html>"), 429, true, "", ""},
		"text":             {reply(429, "text/plain", "Rate limit exceed"), 429, true, "", "Rate limit exceed"},
		"nothing":          {reply(401, "", ""), 401, false, "", ""},
		"broken JSON":      {replyJSON(400, `{"error":"inv`), 400, false, "", `{"error":"inv`},
		"access_denied":    {replyJSON(429, `{"error":"access_denied","error_description":"Global rate limit exceeded"}`), 429, true, authentication.AccessDenied, "Global rate limit exceeded"},
		"SOAP as 500":      {reply(500, "application/xml", soapFault), 500, true, "wst:RequestFailed", "Global rate limit exceeded"},
		"SOAP as 429":      {reply(429, "application/xml", soapFault), 429, true, "wst:RequestFailed", "Global rate limit exceeded"},
		"too_many_request": {replyJSON(429, `{"error":"too_many_requests","error_description":"Client quota exceeded"}`), 429, true, authentication.TooManyRequests, "Client quota exceeded"},
	} {
		e, err := failure(t, c.answer)
		call, _ := errors.AsType[*auth0.Error](err)
		if call.Status != c.status || errors.Is(err, auth0.ErrRateLimited) != c.limited || e.Code != c.code || e.Description != c.description {
			t.Errorf("%s: status %d, limited %v, code %q, description %q", name, call.Status, errors.Is(err, auth0.ErrRateLimited), e.Code, e.Description)
		}
	}
}

const soapFault = `<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"><env:Body><env:Fault><env:Code><env:Value>env:Sender</env:Value>` +
	`<env:Subcode><env:Value>wst:RequestFailed</env:Value></env:Subcode></env:Code><env:Reason><env:Text xml:lang="en">Global rate limit exceeded</env:Text></env:Reason>` +
	`<env:Detail></env:Detail></env:Fault></env:Body></env:Envelope>`

// secretive returns a value of each type that has fields for passwords, tokens
// or codes, filled with values that begin with s-.
func secretive() []any {
	return []any{
		filled[authentication.TokenSet](), filled[authentication.DeviceCode](), filled[authentication.BackchannelRequest](),
		filled[authentication.MFAEnrollment](), filled[authentication.MFAChallenge](), filled[authentication.PasskeyChallenge](),
		filled[authentication.RegisteredClient](), filled[authentication.PushedAuthorization](),
		filled[authentication.Authorize](), filled[authentication.Login](), filled[authentication.CodeExchange](),
		filled[authentication.Refresh](), filled[authentication.Password](), filled[authentication.Signup](),
		filled[authentication.MFAOTP](), filled[authentication.MFAOOB](), filled[authentication.MFARecoveryCode](),
		filled[authentication.MFAChallengeRequest](), filled[authentication.PasswordlessOTP](), filled[authentication.SessionOTP](),
		filled[authentication.PasskeyResponse](), filled[authentication.CustomExchange](), filled[authentication.NativeSocial](),
		filled[authentication.OnBehalfOf](), filled[authentication.CrossApp](), filled[authentication.TokenVault](),
		filled[authentication.PasswordlessVerify](), filled[authentication.ResourceOwner](), filled[authentication.SocialToken](),
		filled[authentication.Delegation](), filled[authentication.OIDCLogout](),
		&authentication.VerifierOptions{ClientSecret: "s-secret"}, &authentication.Expect{Nonce: "s-nonce", AccessToken: "s-token", Code: "s-code"},
		&authentication.Error{MFAToken: "s-token", Description: "s-description"},
	}
}

// Nothing that is printed or logged shows a token, a code or a secret: by no
// verb, as a value or a pointer, alone or inside of something else.
func TestNothingSecretIsShown(t *testing.T) {
	t.Parallel()
	for _, p := range secretive() {
		v := reflect.ValueOf(p).Elem().Interface()
		for _, v := range []any{p, []any{p}, map[string]any{"p": p}, v, []any{v}, struct{ V any }{v}} {
			var shown strings.Builder
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t"} {
				fmt.Fprintf(&shown, verb+"\n", v)
			}
			for _, secret := range []string{"s-", "732d", "732D", "115 45"} { // in letters, and in the digits of %x and %d
				if strings.Contains(shown.String(), secret) {
					t.Errorf("%T of a %T shows %q: %s", v, p, secret, &shown)
				}
			}
		}
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", p)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", p)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", v)
		if shown := strings.ReplaceAll(log.String(), "s-scope", ""); strings.Contains(strings.ReplaceAll(shown, "s-token_type", ""), "s-") {
			t.Errorf("%T logs %s", p, log.String())
		}
	}
}

// A type with a field that is named like a secret is one of those that the test
// above knows.
func TestSecretFieldsAreKnown(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"PasswordRule": true} // its Code names a rule
	for _, p := range secretive() {
		known[reflect.TypeOf(p).Elem().Name()] = true
	}
	secret := regexp.MustCompile(`(Password|Secret|Token|Codes?|OTP|CodeVerifier|Assertion|AuthSession|AuthReqID|BarcodeURI|IDTokenHint|RequestURI)$`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() || strings.HasSuffix(name, "_test.go") {
				return true
			}
			s, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range s.Fields.List {
				for _, n := range field.Names {
					if !n.IsExported() || !secret.MatchString(n.Name) {
						continue
					}
					if found++; !known[spec.Name.Name] {
						t.Errorf("%s.%s may be a secret", spec.Name.Name, n.Name)
					}
				}
			}
			return true
		})
	}
	if found < 40 {
		t.Errorf("%d fields found", found)
	}
}

// Printing goes into fields, where String methods are not asked.
func TestNothingSecretIsInFields(t *testing.T) {
	t.Parallel()
	const secret = "tell-nobody"
	key := rsaKey(t, "client")
	c := newClient(t, func(*http.Request, string) answer { return answer{} }, auth0.WithClientSecret("id", secret))
	d, err := authentication.NewDPoP(key, "")
	if err != nil {
		t.Fatal(err)
	}
	api := authentication.New(c, authentication.ClientSecretPost("id", secret), authentication.DPoPBound(d))
	verifier, err := authentication.NewVerifier(c, authentication.VerifierOptions{ClientSecret: secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{api, *api, api.OAuth, &api.Discovery, verifier, d, struct{ a, b any }{api, d}} {
		shown := fmt.Sprintf("%v %+v %#v %s %d %x", v, v, v, v, v, v)
		for _, s := range []string{secret, key.D.String(), fmt.Sprintf("%x", secret), fmt.Sprintf("%x", key.D)} {
			if strings.Contains(shown, s) {
				t.Errorf("%T shows it: %s", v, shown)
			}
		}
	}
}
