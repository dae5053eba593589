package auth0test

import (
	"net/url"
	"testing"
)

func TestPasswordless(t *testing.T) {
	t.Parallel()
	clock := newClock()
	o := shop()
	o.Clock = clock.Now
	o.Connections = []Connection{{Name: DefaultConnection}, {Name: "email", Strategy: "email"}, {Name: "sms", Strategy: "sms"}}
	tenant := mustTenant(t, o)
	start := func(body string) reply {
		return send(t, tenant, "POST", "/passwordless/start", `{"client_id":"web","client_secret":"web-secret",`+body+`}`, "X-Request-Language", "de")
	}
	for body, code := range map[string]string{
		`"connection":"none","email":"a@example.com"`: "bad.connection", `"connection":"email"`: "bad.email", `"connection":"email","email":"x"`: "bad.email",
		`"connection":"sms","phone_number":"12"`: "bad.phone_number", `"connection":"` + DefaultConnection + `","email":"a@example.com"`: "bad.connection",
	} {
		refusal(t, body, start(body), 400, code)
	}
	refusal(t, "nobody", send(t, tenant, "POST", "/passwordless/start", `{"client_id":"none"}`), 401, "invalid_client")
	token := func(to, otp, realm string, pairs ...string) reply {
		form := url.Values{
			"grant_type": {grantPasswordless}, "client_id": {"web"}, "client_secret": {"web-secret"}, "username": {to}, "otp": {otp}, "realm": {realm}, "scope": {"openid email phone"},
		}
		change(form, pairs)
		return post(t, tenant, "/oauth/token", form)
	}
	doc := start(`"connection":"email","email":"New@example.com"`).doc(t)
	if doc["email"] != "new@example.com" || doc["email_verified"] != false || doc["_id"] == "" || doc["request_language"] != "de" {
		t.Errorf("%v", doc)
	}
	code := tenant.Sent("new@EXAMPLE.com")
	refusal(t, "no code", token("new@example.com", "", "email"), 400, "invalid_request")
	refusal(t, "a wrong code", token("new@example.com", "x", "email"), 403, "invalid_grant")
	refusal(t, "another realm", token("new@example.com", code, "sms"), 403, "invalid_grant")
	r := token("New@example.com", code, "email")
	if c := claims(r.doc(t)["id_token"].(string)); c["email"] != "new@example.com" || c["email_verified"] != true {
		t.Errorf("%v", c)
	}
	refusal(t, "a code that is used up", token("new@example.com", code, "email"), 403, "invalid_grant")

	start(`"connection":"sms","phone_number":"+491722222"`)
	code = tenant.Sent("+491722222")
	for range wrongMost {
		refusal(t, "wrong", token("+491722222", "x", "sms"), 403, "invalid_grant")
	}
	refusal(t, "after three wrong ones", token("+491722222", code, "sms"), 403, "invalid_grant")
	start(`"connection":"sms","phone_number":"+491722222"`)
	if c := claims(token("+491722222", tenant.Sent("+491722222"), "sms").doc(t)["id_token"].(string)); c["phone_number"] != "+491722222" || c["phone_number_verified"] != true {
		t.Errorf("%v", c)
	}
	start(`"connection":"sms","phone_number":"+491722222"`)
	clock.set(sentLife)
	refusal(t, "an old code", token("+491722222", tenant.Sent("+491722222"), "sms"), 403, "invalid_grant")

	// Codes for users of a database.
	challenge := func(body string) reply {
		return send(t, tenant, "POST", "/otp/challenge", `{"client_id":"web","client_secret":"web-secret","connection":"`+DefaultConnection+`"`+body+`}`)
	}
	refusal(t, "neither", challenge(""), 400, "invalid_request")
	refusal(t, "both", challenge(`,"email":"ada@example.com","phone_number":"+491722222"`), 400, "invalid_request")
	refusal(t, "another connection", challenge(`,"connection":"email","email":"ada@example.com"`), 400, "invalid_connection")
	session := func(r reply) string {
		s, _ := r.doc(t)["auth_session"].(string)
		return s
	}
	with := func(session, otp string) reply {
		return token("", otp, "", "auth_session", session, "username", "-", "realm", "-")
	}
	if c := claims(with(session(challenge(`,"email":"ada@example.com"`)), tenant.Sent("ada@example.com")).doc(t)["id_token"].(string)); c["sub"] != "auth0|ada" {
		t.Errorf("%v", c)
	}
	refusal(t, "nobody there", with(session(challenge(`,"email":"nobody@example.com"`)), tenant.Sent("nobody@example.com")), 403, "invalid_grant")
	if r := with(session(challenge(`,"email":"eve@example.com","allow_signup":true`)), tenant.Sent("eve@example.com")); r.status != 200 {
		t.Errorf("signing up: %d %s", r.status, r.body)
	}
}

func TestSignUp(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, shop())
	sign := func(body string) reply {
		return send(t, tenant, "POST", "/dbconnections/signup", `{"client_id":"web",`+connection+body+`}`)
	}
	r := sign(`,"email":"Eve@example.com","password":"eve-password","given_name":"Eve","user_metadata":{"plan":"free"}`)
	doc := r.doc(t)
	if r.status != 200 || doc["email"] != "eve@example.com" || doc["email_verified"] != false || doc["given_name"] != "Eve" || doc["password"] != nil || len(doc["_id"].(string)) != 24 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := password(t, tenant, "eve@example.com", "eve-password"); r.status != 200 || claims(r.doc(t)["id_token"].(string))["sub"] != "auth0|"+doc["_id"].(string) {
		t.Errorf("logging in: %d %s", r.status, r.body)
	}
	for _, tt := range []struct {
		body   string
		status int
		code   string
	}{
		{`,"email":"eve@example.com","password":"eve-password"`, 409, "user_exists"},
		{`,"email":"x","password":"eve-password"`, 400, "invalid_signup"},
		{`,"email":"f@example.com"`, 400, "invalid_signup"},
		{`,"password":"eve-password"`, 400, "invalid_signup"},
		{`,"email":"f@example.com","password":"eve-password","connection":"none"`, 400, "invalid_signup"},
		{`,"email":"f@example.com","password":"7-chars"`, 400, "invalid_password"},
	} {
		r := sign(tt.body)
		doc := r.doc(t)
		if r.status != tt.status || doc["code"] != tt.code || doc["statusCode"] != float64(tt.status) {
			t.Errorf("%s: %d %s", tt.body, r.status, r.body)
		}
		if description, _ := doc["description"].(map[string]any); tt.code == "invalid_password" && (description["rules"] == nil || doc["policy"] == nil) {
			t.Errorf("%s: no rules in %s", tt.body, r.body)
		}
	}
	if r := send(t, tenant, "POST", "/dbconnections/change_password", `{"client_id":"web",`+connection+`,"email":"nobody@example.com"}`); r.status != 200 || r.body == "" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := send(t, tenant, "POST", "/dbconnections/change_password", `{"client_id":"web"}`); r.status != 400 {
		t.Errorf("%d %s", r.status, r.body)
	}
}
