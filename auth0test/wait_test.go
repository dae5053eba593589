package auth0test

import (
	"net/url"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/authentication"
)

func TestDevices(t *testing.T) {
	t.Parallel()
	clock := newClock()
	o := shop()
	o.Clock = clock.Now
	tenant := mustTenant(t, o)
	start := func(pairs ...string) reply {
		form := url.Values{"client_id": {"app"}, "scope": {"openid offline_access"}, "audience": {things}}
		change(form, pairs)
		return post(t, tenant, "/oauth/device/code", form)
	}
	refusal(t, "nobody's", start("client_id", "none"), 401, "invalid_client")
	refusal(t, "an application without the grant", start("client_id", "m2m"), 403, "unauthorized_client")
	refusal(t, "an API that is not there", start("audience", "https://none.example"), 403, "access_denied")
	poll := func(code any, pairs ...string) reply {
		form := url.Values{"grant_type": {grantDevice}, "client_id": {"app"}, "device_code": {code.(string)}}
		change(form, pairs)
		return post(t, tenant, "/oauth/token", form)
	}
	doc := start().doc(t)
	user, _ := doc["user_code"].(string)
	if !regexp.MustCompile(`^[B-DF-HJ-NP-T]{4}-[B-DF-HJ-NP-T]{4}$`).MatchString(user) || doc["expires_in"] != 900.0 || doc["interval"] != 5.0 ||
		doc["verification_uri"] != base+"/activate" || doc["verification_uri_complete"] != base+"/activate?user_code="+user {
		t.Fatalf("%v", doc)
	}
	device := doc["device_code"]
	at := time.Duration(0)
	for i, tt := range []struct {
		wait   time.Duration
		status int
		code   string
	}{
		{0, 403, "authorization_pending"},
		{5 * time.Second, 403, "authorization_pending"},
		{4 * time.Second, 403, "authorization_pending"}, // a second is allowed for the way
		{4*time.Second - 1, 429, "slow_down"},           // ten seconds from now on
		{9*time.Second - 1, 429, "slow_down"},           // fifteen
		{14 * time.Second, 403, "authorization_pending"},
	} {
		at += tt.wait
		clock.set(at)
		r := poll(device)
		refusal(t, string(rune('0'+i)), r, tt.status, tt.code)
		if want := map[int]string{3: "10", 4: "15"}[i]; r.header.Get("Retry-After") != want {
			t.Errorf("poll %d: Retry-After %q, want %q", i, r.header.Get("Retry-After"), want)
		}
	}
	refusal(t, "nothing", poll("", "device_code", "-"), 400, "invalid_request")
	refusal(t, "a made-up code", poll("x"), 403, "invalid_grant")
	refusal(t, "another application", poll(device, "client_id", "web", "client_secret", "web-secret"), 403, "invalid_grant")
	if err := tenant.Approve(user, "nobody@example.com"); err == nil {
		t.Error("a user who is not there may approve")
	}
	if err := tenant.Approve(device.(string), "ada@example.com"); err == nil {
		t.Error("the device's own code may be approved")
	}
	if err := tenant.Approve(user, "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := tenant.Deny(user); err == nil {
		t.Error("it may be answered twice")
	}
	clock.set(at + time.Minute)
	tokens := poll(device).doc(t)
	if c := claims(tokens["access_token"].(string)); c["sub"] != "auth0|ada" || c["azp"] != "app" || tokens["refresh_token"] == nil || tokens["id_token"] == nil {
		t.Errorf("%v", tokens)
	}
	refusal(t, "a code that has given tokens", poll(device), 403, "invalid_grant")

	doc = start().doc(t)
	if err := tenant.Deny(doc["user_code"].(string)); err != nil {
		t.Fatal(err)
	}
	refusal(t, "denied", poll(doc["device_code"]), 403, "access_denied")
	refusal(t, "after that", poll(doc["device_code"]), 403, "invalid_grant")

	doc = start().doc(t)
	clock.set(at + time.Minute + deviceLife)
	refusal(t, "expired", poll(doc["device_code"]), 403, "expired_token")
	refusal(t, "after that", poll(doc["device_code"]), 403, "invalid_grant")
	if err := tenant.Approve(doc["user_code"].(string), "ada@example.com"); err == nil {
		t.Error("an expired code may be approved")
	}
}

func TestBackchannel(t *testing.T) {
	t.Parallel()
	clock := newClock()
	o := shop()
	o.Clock = clock.Now
	tenant := mustTenant(t, o)
	hint := `{"format":"iss_sub","iss":"` + base + `/","sub":"auth0|ada"}`
	start := func(pairs ...string) reply {
		form := url.Values{"client_id": {"web"}, "client_secret": {"web-secret"}, "scope": {"openid"}, "login_hint": {hint}, "binding_message": {"Code-12"}}
		change(form, pairs)
		return post(t, tenant, "/bc-authorize", form)
	}
	for _, tt := range []struct {
		pairs  []string
		status int
		code   string
	}{
		{[]string{"client_secret", "x"}, 401, "invalid_client"},
		{[]string{"client_id", "m2m", "client_secret", "m2m-secret"}, 403, "unauthorized_client"},
		{[]string{"client_id", "app", "client_secret", "-"}, 403, "unauthorized_client"},
		{[]string{"login_hint", "ada"}, 400, "invalid_request"},
		{[]string{"login_hint", `{"format":"iss_sub","iss":"https://other.example/","sub":"auth0|ada"}`}, 400, "invalid_request"},
		{[]string{"login_hint", `{"format":"iss_sub","iss":"` + base + `/","sub":"auth0|none"}`}, 400, "unknown_user_id"},
		{[]string{"binding_message", "-"}, 400, "invalid_request"},
		{[]string{"binding_message", "<script>"}, 400, "invalid_request"},
		{[]string{"scope", "profile"}, 400, "invalid_request"},
		{[]string{"requested_expiry", "0"}, 400, "invalid_request"},
		{[]string{"requested_expiry", "259201"}, 400, "invalid_request"},
	} {
		refusal(t, tt.pairs[1], start(tt.pairs...), tt.status, tt.code)
	}
	poll := func(id any) reply {
		return post(t, tenant, "/oauth/token", url.Values{"grant_type": {grantCIBA}, "client_id": {"web"}, "client_secret": {"web-secret"}, "auth_req_id": {id.(string)}})
	}
	doc := start().doc(t)
	id := doc["auth_req_id"]
	if doc["expires_in"] != 300.0 || doc["interval"] != 5.0 {
		t.Fatalf("%v", doc)
	}
	refusal(t, "before she has answered", poll(id), 400, "authorization_pending")
	slow := poll(id)
	refusal(t, "too soon", slow, 400, "slow_down")
	if slow.doc(t)["interval"] != 10.0 || slow.header.Get("Retry-After") != "10" {
		t.Errorf("%s, Retry-After %q", slow.body, slow.header.Get("Retry-After"))
	}
	if err := tenant.Approve(id.(string), "bob@example.com"); err == nil {
		t.Error("another user may approve")
	}
	if err := tenant.Approve(id.(string), ""); err != nil {
		t.Fatal(err)
	}
	clock.set(9 * time.Second)
	if tokens := poll(id).doc(t); claims(tokens["id_token"].(string))["sub"] != "auth0|ada" {
		t.Errorf("%v", tokens)
	}
	refusal(t, "once more", poll(id), 403, "invalid_grant")

	id = start("requested_expiry", "20").doc(t)["auth_req_id"]
	if err := tenant.Deny(id.(string)); err != nil {
		t.Fatal(err)
	}
	refusal(t, "denied", poll(id), 400, "access_denied")
	id = start("requested_expiry", "20").doc(t)["auth_req_id"]
	clock.set(29 * time.Second)
	refusal(t, "expired", poll(id), 400, "access_denied")
}

// The project's own client asks every five seconds, and so has the tokens at the
// first multiple of five after the person has said yes: in no time at all, under
// a clock that is faked.
func TestDeviceWithTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant := mustTenant(t, shop())
		client, err := auth0.New(tenant.Domain(), auth0.WithHTTPClient(tenant.Client()))
		if err != nil {
			t.Fatal(err)
		}
		service := authentication.New(client, authentication.None("app"))
		code, err := service.Device.Authorize(t.Context(), &authentication.DeviceAuthorize{Scope: "openid"})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		go func() {
			time.Sleep(12 * time.Second)
			if err := tenant.Approve(code.UserCode, "ada@example.com"); err != nil {
				t.Error(err)
			}
		}()
		tokens, err := service.Device.Wait(t.Context(), code)
		// The client's own throttle may add some milliseconds.
		if took := time.Since(start).Truncate(time.Second); err != nil || tokens.IDToken == "" || took != 15*time.Second {
			t.Errorf("%v, %v after %v", tokens, err, took)
		}
		if got := tenant.Report().Requests; got != 4 {
			t.Errorf("%d requests, want one for the code and three polls", got)
		}
	})
}
