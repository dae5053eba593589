package auth0test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// The examples of RFC 6238, appendix B, of which the last six digits count.
func TestTOTP(t *testing.T) {
	t.Parallel()
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // of the 20 bytes 12345678901234567890
	for at, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got, err := TOTP(secret, time.Unix(at, 0)); got != want || err != nil {
			t.Errorf("at %d: %s, %v, want %s", at, got, err, want)
		}
	}
	for _, secret := range []string{"", "1", "not base32!"} {
		if code, err := TOTP(secret, time.Unix(0, 0)); err == nil {
			t.Errorf("%q gives %s", secret, code)
		}
	}
}

// guarded is a shop whose users have second factors.
func guarded(clock *clock) Options {
	o := shop()
	o.Clock = clock.Now
	o.Users = []User{
		{ID: "ada", Email: "ada@example.com", Password: "ada-password", Factors: []Factor{
			{Type: "totp", Secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}, {Type: "recovery-code", Secret: "RECOVER"},
		}},
		{ID: "bob", Email: "bob@example.com", PhoneNumber: "+491700000", Password: "bob-password", Factors: []Factor{{Type: "phone"}, {Type: "email"}}},
		{ID: "cleo", Email: "cleo@example.com", Password: "cleo-password", Factors: []Factor{{Type: "push"}}},
		{ID: "dan", Email: "dan@example.com", Password: "dan-password"},
	}
	return o
}

// password logs a user in with a password.
func password(t *testing.T, tenant *Tenant, name, password string, pairs ...string) reply {
	t.Helper()
	form := url.Values{
		"grant_type": {grantPassword}, "client_id": {"web"}, "client_secret": {"web-secret"},
		"username": {name}, "password": {password}, "scope": {"openid offline_access"},
	}
	change(form, pairs)
	return post(t, tenant, "/oauth/token", form)
}

// half logs somebody in up to the second factor and returns the MFA token.
func half(t *testing.T, tenant *Tenant, name string, pairs ...string) string {
	t.Helper()
	r := password(t, tenant, name+"@example.com", name+"-password", pairs...)
	refusal(t, name, r, 403, "mfa_required")
	token, _ := r.doc(t)["mfa_token"].(string)
	return token
}

// second sends a second factor.
func second(t *testing.T, tenant *Tenant, grantType string, pairs ...string) reply {
	t.Helper()
	form := url.Values{"grant_type": {grantType}, "client_id": {"web"}, "client_secret": {"web-secret"}}
	change(form, pairs)
	return post(t, tenant, "/oauth/token", form)
}

// challenged asks for a challenge.
func challenged(t *testing.T, tenant *Tenant, token string, pairs ...string) reply {
	t.Helper()
	doc := map[string]string{"client_id": "web", "client_secret": "web-secret", "mfa_token": token}
	for i := 0; i+1 < len(pairs); i += 2 {
		doc[pairs[i]] = pairs[i+1]
	}
	body, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, tenant, "POST", "/mfa/challenge", string(body))
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, shop())
	doc := password(t, tenant, "ADA@example.com", "ada-password").doc(t)
	if c := claims(doc["id_token"].(string)); c["sub"] != "auth0|ada" || c["sid"] != nil || c["amr"] != nil || doc["refresh_token"] == nil {
		t.Errorf("%v", doc)
	}
	realm := []string{"grant_type", grantRealm, "realm", DefaultConnection}
	if r := password(t, tenant, "ada@example.com", "ada-password", realm...); r.status != 200 {
		t.Errorf("realm: %d %s", r.status, r.body)
	}
	for _, tt := range []struct {
		name, password string
		pairs          []string
		status         int
		code           string
	}{
		{"", "x", nil, 400, "invalid_request"},
		{"ada@example.com", "", nil, 400, "invalid_request"},
		{"ada@example.com", "ada-password", []string{"grant_type", grantRealm}, 400, "invalid_request"},
		{"ada@example.com", "ada-password", []string{"realm", "none"}, 403, "invalid_grant"},
		{"ada@example.com", "wrong", nil, 403, "invalid_grant"},
		{"none@example.com", "x", nil, 403, "invalid_grant"},
		{"bob", "bob-password", nil, 403, "access_denied"}, // blocked
		{"ada@example.com", "ada-password", []string{"client_secret", "wrong"}, 401, "invalid_client"},
		{"ada@example.com", "ada-password", []string{"client_id", "m2m", "client_secret", "m2m-secret"}, 403, "unauthorized_client"},
		{"ada@example.com", "ada-password", []string{"audience", "https://none.example"}, 403, "access_denied"},
	} {
		refusal(t, fmt.Sprint(tt), password(t, tenant, tt.name, tt.password, tt.pairs...), tt.status, tt.code)
	}
	// Ten wrong ones in turn close the account, but for other addresses.
	if r := password(t, tenant, "ada@example.com", "ada-password"); r.status != 200 {
		t.Errorf("the right one in between: %d %s", r.status, r.body)
	}
	for i := range attempts {
		refusal(t, fmt.Sprint("attempt ", i), password(t, tenant, "ada@example.com", "wrong"), 403, "invalid_grant")
	}
	refusal(t, "the right one after that", password(t, tenant, "ada@example.com", "ada-password"), 429, "too_many_attempts")
}

// A second factor of each kind ends a login that needs one.
func TestSecondFactors(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, guarded(clock))
	r := password(t, tenant, "ada@example.com", "ada-password")
	if got := fmt.Sprint(r.doc(t)["mfa_requirements"]); got != "map[challenge:[map[type:otp] map[type:recovery-code]]]" {
		t.Errorf("requirements %s", got)
	}
	token := half(t, tenant, "ada")
	if doc := challenged(t, tenant, token, "challenge_type", "otp").doc(t); doc["challenge_type"] != "otp" || doc["oob_code"] != nil {
		t.Errorf("challenge %v", doc)
	}
	refusal(t, "a type that she has not", challenged(t, tenant, token, "challenge_type", "oob"), 400, "unsupported_challenge_type")
	refusal(t, "without a code", second(t, tenant, grantOTP, "mfa_token", token), 400, "invalid_request")
	refusal(t, "without a token", second(t, tenant, grantOTP, "otp", "000000"), 400, "invalid_request")
	refusal(t, "a made-up token", second(t, tenant, grantOTP, "mfa_token", "x", "otp", "000000"), 403, "invalid_grant")
	refusal(t, "another application's token", second(t, tenant, grantOTP, "mfa_token", token, "otp", tenant.OTP("auth0|ada"), "client_id", "app", "client_secret", "-"), 403, "invalid_grant")
	refusal(t, "a wrong code", second(t, tenant, grantOTP, "mfa_token", token, "otp", "12345"), 403, "invalid_grant")
	now := tenant.OTP("ada@example.com")
	doc := second(t, tenant, grantOTP, "mfa_token", token, "otp", now).doc(t)
	if c := claims(doc["id_token"].(string)); fmt.Sprint(c["amr"]) != "[mfa]" || c["sub"] != "auth0|ada" || doc["refresh_token"] == nil {
		t.Errorf("%v", doc)
	}
	refusal(t, "a token that is used up", second(t, tenant, grantOTP, "mfa_token", token, "otp", now), 403, "invalid_grant")
	refusal(t, "a code that is used up", second(t, tenant, grantOTP, "mfa_token", half(t, tenant, "ada"), "otp", now), 403, "invalid_grant")
	// A code is good for one step before and after its own.
	for _, tt := range []struct {
		late time.Duration
		want int
	}{{59 * time.Second, 200}, {60 * time.Second, 403}} {
		at := clock.Now().Sub(time.Unix(begin, 0)).Truncate(otpStep) + 10*otpStep
		clock.set(at)
		code := tenant.OTP("ada@example.com")
		clock.set(at + tt.late)
		if r := second(t, tenant, grantOTP, "mfa_token", half(t, tenant, "ada"), "otp", code); r.status != tt.want {
			t.Errorf("%v after a code was shown first: %d %s", tt.late, r.status, r.body)
		}
	}
	// The recovery code is replaced by another.
	doc = second(t, tenant, grantRecovery, "mfa_token", half(t, tenant, "ada"), "recovery_code", "RECOVER").doc(t)
	fresh, _ := doc["recovery_code"].(string)
	if fresh == "" || fresh == "RECOVER" || doc["access_token"] == nil {
		t.Errorf("recovery %v", doc)
	}
	refusal(t, "the old recovery code", second(t, tenant, grantRecovery, "mfa_token", half(t, tenant, "ada"), "recovery_code", "RECOVER"), 403, "invalid_grant")
	if r := second(t, tenant, grantRecovery, "mfa_token", half(t, tenant, "ada"), "recovery_code", fresh); r.status != 200 {
		t.Errorf("the new recovery code: %d %s", r.status, r.body)
	}
	// MFA tokens hold for ten minutes, and for ten wrong codes.
	token = half(t, tenant, "ada")
	for range attempts {
		refusal(t, "wrong", second(t, tenant, grantOTP, "mfa_token", token, "otp", "x"), 403, "invalid_grant")
	}
	refusal(t, "the eleventh", second(t, tenant, grantOTP, "mfa_token", token, "otp", tenant.OTP("ada@example.com")), 429, "too_many_attempts")
	token = half(t, tenant, "ada")
	clock.set(clock.Now().Sub(time.Unix(begin, 0)) + challengeLife)
	refusal(t, "after ten minutes", second(t, tenant, grantOTP, "mfa_token", token, "otp", tenant.OTP("ada@example.com")), 403, "expired_token")
}

// Codes that are sent, and push messages.
func TestOutOfBand(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, guarded(clock))
	token := half(t, tenant, "bob")
	list := send(t, tenant, "GET", "/mfa/authenticators", "", "Authorization", "Bearer "+token)
	var all []map[string]any
	if err := json.Unmarshal([]byte(list.body), &all); err != nil || len(all) != 2 || all[0]["oob_channel"] != "sms" || all[1]["oob_channel"] != "email" || all[0]["authenticator_type"] != "oob" || all[0]["active"] != true {
		t.Fatalf("%v: %s", err, list.body)
	}
	// Of +491700000 the first two and the last two characters are shown.
	if want := "+4" + strings.Repeat("X", 6) + "00"; all[0]["name"] != want {
		t.Errorf("name %v, want %s", all[0]["name"], want)
	}
	for i, to := range []string{"+491700000", "bob@example.com"} {
		doc := challenged(t, tenant, token, "challenge_type", "otp oob", "authenticator_id", all[i]["id"].(string)).doc(t)
		oob, _ := doc["oob_code"].(string)
		if doc["challenge_type"] != "oob" || doc["binding_method"] != "prompt" || len(tenant.Sent(to)) != 6 {
			t.Fatalf("%v, %q was sent", doc, tenant.Sent(to))
		}
		refusal(t, "no binding code", second(t, tenant, grantOOB, "mfa_token", token, "oob_code", oob), 400, "invalid_request")
		refusal(t, "a wrong one", second(t, tenant, grantOOB, "mfa_token", token, "oob_code", oob, "binding_code", "x"), 403, "invalid_grant")
		refusal(t, "a made-up oob_code", second(t, tenant, grantOOB, "mfa_token", token, "oob_code", "x", "binding_code", tenant.Sent(to)), 403, "invalid_grant")
		if r := second(t, tenant, grantOOB, "mfa_token", token, "oob_code", oob, "binding_code", tenant.Sent(to)); r.status != 200 {
			t.Errorf("%s: %d %s", to, r.status, r.body)
		}
		token = half(t, tenant, "bob")
	}
	doc := challenged(t, tenant, token).doc(t)
	clock.set(sentLife)
	refusal(t, "an old code", second(t, tenant, grantOOB, "mfa_token", token, "oob_code", doc["oob_code"].(string), "binding_code", tenant.Sent("+491700000")), 403, "invalid_grant")

	ask := func(answer func(code string) error) reply {
		token := half(t, tenant, "cleo")
		doc := challenged(t, tenant, token).doc(t)
		oob, _ := doc["oob_code"].(string)
		if doc["binding_method"] != nil {
			t.Errorf("challenge %v", doc)
		}
		poll := func() reply { return second(t, tenant, grantOOB, "mfa_token", token, "oob_code", oob) }
		refusal(t, "before she has answered", poll(), 400, "authorization_pending")
		refusal(t, "too soon", poll(), 400, "slow_down")
		clock.set(clock.Now().Sub(time.Unix(begin, 0)) + 10*time.Second)
		if err := answer(oob); err != nil {
			t.Error(err)
		}
		return poll()
	}
	if r := ask(func(code string) error { return tenant.Approve(code, "") }); r.status != 200 {
		t.Errorf("approved: %d %s", r.status, r.body)
	}
	refusal(t, "denied", ask(tenant.Deny), 400, "access_denied")
	for what, err := range map[string]error{
		"nothing":    tenant.Approve("none", "ada@example.com"),
		"of another": tenant.Deny(challenged(t, tenant, half(t, tenant, "bob")).doc(t)["oob_code"].(string) + "x"),
	} {
		if err == nil {
			t.Errorf("%s may be answered", what)
		}
	}
}

// A user without a factor enrols one, with the token of the login or with an
// access token.
func TestEnrolment(t *testing.T) {
	t.Parallel()
	clock := newClock()
	o := guarded(clock)
	o.RequireMFA = true
	tenant := mustTenant(t, o)
	token := half(t, tenant, "dan")
	refusal(t, "a challenge", challenged(t, tenant, token), 400, "association_required")
	associate := func(token, body string) reply {
		return send(t, tenant, "POST", "/mfa/associate", body, "Authorization", "Bearer "+token)
	}
	const otp = `{"authenticator_types":["otp"]}`
	refusal(t, "without a token", associate("", otp), 401, "invalid_request")
	refusal(t, "a made-up token", associate("x", otp), 401, "invalid_grant")
	refusal(t, "nothing", associate(token, `{}`), 400, "invalid_request")
	refusal(t, "no channel", associate(token, `{"authenticator_types":["oob"]}`), 400, "invalid_request")
	refusal(t, "no number", associate(token, `{"authenticator_types":["oob"],"oob_channels":["sms"]}`), 400, "invalid_request")
	refusal(t, "a user who has one", associate(half(t, tenant, "ada"), otp), 401, "access_denied")
	doc := associate(token, otp).doc(t)
	codes, _ := doc["recovery_codes"].([]any)
	secret, _ := doc["secret"].(string)
	uri, err := url.Parse(doc["barcode_uri"].(string))
	if doc["authenticator_type"] != "otp" || len(codes) != 1 || err != nil || uri.Scheme != "otpauth" || uri.Query().Get("secret") != secret {
		t.Fatalf("%v", doc)
	}
	list := func(token string) string {
		return send(t, tenant, "GET", "/mfa/authenticators", "", "Authorization", "Bearer "+token).body
	}
	if got := list(token); !strings.Contains(got, `"active":false`) {
		t.Errorf("before it is confirmed: %s", got)
	}
	// It is not good for another login before it has been confirmed.
	shown, err := TOTP(secret, clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	refusal(t, "another login", second(t, tenant, grantOTP, "mfa_token", half(t, tenant, "dan"), "otp", shown), 403, "invalid_grant")
	if r := second(t, tenant, grantOTP, "mfa_token", token, "otp", shown); r.status != 200 || r.doc(t)["id_token"] == nil {
		t.Fatalf("confirming: %d %s", r.status, r.body)
	}
	token = half(t, tenant, "dan")
	if got := list(token); strings.Contains(got, `"active":false`) || !strings.Contains(got, `"authenticator_type":"recovery-code"`) {
		t.Errorf("after it is confirmed: %s", got)
	}
	// With an access token a second one is added, and the first taken away.
	r := second(t, tenant, grantRecovery, "recovery_code", codes[0].(string),
		"mfa_token", half(t, tenant, "dan", "audience", base+"/mfa/", "scope", "enroll read:authenticators remove:authenticators"))
	access, _ := r.doc(t)["access_token"].(string)
	doc = associate(access, `{"authenticator_types":["oob"],"oob_channels":["sms"],"phone_number":"+491711111"}`).doc(t)
	oob, _ := doc["oob_code"].(string)
	if doc["oob_channel"] != "sms" || doc["binding_method"] != "prompt" || doc["recovery_codes"] != nil {
		t.Fatalf("%v", doc)
	}
	refusal(t, "a wrong code", second(t, tenant, grantOOB, "mfa_token", access, "oob_code", oob, "binding_code", "x"), 403, "invalid_grant")
	if r := second(t, tenant, grantOOB, "mfa_token", access, "oob_code", oob, "binding_code", tenant.Sent("+491711111")); r.status != 200 {
		t.Errorf("confirming the number: %d %s", r.status, r.body)
	}
	var all []map[string]any
	if err := json.Unmarshal([]byte(list(access)), &all); err != nil || len(all) != 3 || strings.Contains(list(access), `"active":false`) {
		t.Fatalf("%v: %v", err, all)
	}
	i := slices.IndexFunc(all, func(a map[string]any) bool { return a["authenticator_type"] == "otp" })
	remove := func(token, id string) reply {
		return send(t, tenant, "DELETE", "/mfa/authenticators/"+url.PathEscape(id), "", "Authorization", "Bearer "+token)
	}
	id, _ := all[i]["id"].(string)
	refusal(t, "removing with an MFA token", remove(token, id), 401, "invalid_token")
	refusal(t, "removing what is not there", remove(access, "totp|dev_none"), 404, "not_found")
	if r := remove(access, id); r.status != 204 {
		t.Errorf("removing: %d %s", r.status, r.body)
	}
	if strings.Contains(list(access), `"otp"`) {
		t.Error("it is still there")
	}
}

// The pages ask for a second factor as well.
func TestSecondFactorInTheBrowser(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, guarded(clock))
	for _, name := range []string{"ada", "bob"} {
		back, err := tenant.Login(authorizeURL("scope", "openid"), name+"@example.com", name+"-password")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		doc := exchange(t, tenant, back.Query().Get("code")).doc(t)
		if c := claims(doc["id_token"].(string)); fmt.Sprint(c["amr"]) != "[mfa]" {
			t.Errorf("%s: %v", name, c)
		}
	}
	b := &browser{t: t, tenant: tenant}
	page := b.logIn(authorizeURL(), "ada@example.com", "ada-password").header.Get("Location")
	if r := b.open("GET", page, nil); r.status != 200 || !strings.Contains(r.body, `name="code"`) || b.cookie != "" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := b.open("POST", page, url.Values{"code": {"000"}}); r.status != 400 || !strings.Contains(r.body, "The code is wrong") {
		t.Errorf("a wrong code: %d %s", r.status, r.body)
	}
	clock.set(time.Minute)
	if q := backWith(t, b.open("POST", page, url.Values{"code": {tenant.OTP("ada@example.com")}})); q.Get("code") == "" || b.cookie == "" {
		t.Errorf("the right one: %v", q)
	}
}
