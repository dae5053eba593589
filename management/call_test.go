package management

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/headroom-go/auth0"
)

// TestRefused shows that calls which lack what the API requires name it, and send nothing.
func TestRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api, wire := newStub(t)
		ctx := t.Context()
		for _, c := range []struct {
			name string
			call func() error
			want string
		}{
			{"an empty path argument", func() error { _, err := api.Users.Get(ctx, "", nil); return err }, "id"},
			{"a dot in the path", func() error {
				return api.Organizations.Members.Roles.Delete(ctx, "org_1", "..", RoleIDs{Roles: []string{"rol_1"}})
			}, "user_id"},
			{"an empty required string", func() error { _, err := api.Users.Create(ctx, UserCreate{}); return err }, "field connection"},
			{"a missing required list", func() error { return api.Users.Roles.Assign(ctx, "u", RoleIDs{}) }, "field roles"},
			{"an empty field of an entry", func() error {
				_, err := api.ResourceServers.Create(ctx, ResourceServerCreate{Identifier: "x", Scopes: []ResourceServerScope{{Value: "read"}, {}}})
				return err
			}, "field scopes[1].value"},
			{"an empty field of a variant", func() error {
				_, err := api.LogStreams.Create(ctx, LogStreamCreate{Type: LogStreamTypeHTTP, Sink: LogStreamSink{HTTP: &LogStreamHTTPSink{}}})
				return err
			}, "field sink.httpEndpoint"},
			{"a missing required parameter", func() error { _, err := api.Users.ListByEmail(ctx, nil); return err }, "parameter email"},
			{"an empty required parameter", func() error {
				return api.Connections.Users.DeleteByEmail(ctx, "c", &ConnectionUserDeleteByEmailParams{})
			}, "parameter email"},
			{"a list without a required parameter", func() error {
				_, err := api.Users.EffectivePermissions.List(ctx, "u", &UserEffectivePermissionListParams{})
				return err
			}, "parameter resource_server_identifier"},
			{"a walk without a required parameter", func() error {
				for _, err := range api.Users.EffectivePermissions.All(ctx, "u", nil) {
					return err
				}
				return nil
			}, "parameter resource_server_identifier"},
			{"a form without a required field", func() error {
				_, err := api.Jobs.UsersImports.Create(ctx, JobUsersImportCreate{Users: []byte("[]")})
				return err
			}, "field connection_id"},
		} {
			err := c.call()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v does not name %q", c.name, err, c.want)
			}
			if wire.got != nil {
				t.Errorf("%s: sent all the same: %s", c.name, wire.got.URL)
				wire.got = nil
			}
		}
	})
}

// TestMayBeEmpty shows that the few required fields for which empty means something are sent so.
func TestMayBeEmpty(t *testing.T) {
	t.Parallel()
	if name := missing(reflect.ValueOf(BrandingThemePageBackground{BackgroundColor: "#fff", PageLayout: BrandingThemePageLayoutCenter}), "json", ""); name != "" {
		t.Errorf("%s was refused", name)
	}
	if name := missing(reflect.ValueOf(BrandingThemePageBackground{PageLayout: BrandingThemePageLayoutCenter}), "json", ""); name != "background_color" {
		t.Errorf("%q was refused", name)
	}
}

// TestUnset shows what is sent of fields that are not set, empty, and cleared.
func TestUnset(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		body any
		want string
	}{
		{"nothing set", UserUpdate{}, `{}`},
		{"false and empty", UserUpdate{Blocked: new(false), UserMetadata: map[string]any{}}, `{"blocked":false,"user_metadata":{}}`},
		{"cleared", UserUpdate{Nickname: auth0.NullValue[string](), Name: auth0.NullOf("")}, `{"nickname":null,"name":""}`},
		{"an empty list", ClientUpdate{Callbacks: []string{}}, `{"callbacks":[]}`},
		{"a required list, empty", RoleIDs{Roles: []string{}}, `{"roles":[]}`},
		{"a union", ConnectionCreate{Name: "db", Strategy: "auth0", Options: &ConnectionOptions{Auth0: &ConnectionOptionsAuth0{DisableSignup: new(true)}}},
			`{"name":"db","strategy":"auth0","options":{"disable_signup":true}}`},
		{"a union with fields of one's own", ConnectionOptions{Auth0: &ConnectionOptionsAuth0{Extra: map[string]json.RawMessage{"mine": json.RawMessage("1"), "disable_signup": json.RawMessage("2")}}},
			`{"mine":1}`},
		{"an empty union", ConnectionOptions{}, `null`},
	} {
		got, err := json.Marshal(c.body)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if d := jsonDiff(decodeAny(t, []byte(c.want)), decodeAny(t, got), ""); d != "" || len(got) != len(c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestUnions decodes unions whose variant is known, unknown, missing, and not an object.
func TestUnions(t *testing.T) {
	t.Parallel()
	var s LogStream
	if err := json.Unmarshal([]byte(`{"sink":{"httpEndpoint":"https://x"},"type":"http","id":"lst_1"}`), &s); err != nil || s.Sink.HTTP == nil || s.Sink.HTTP.HTTPEndpoint != "https://x" || s.Sink.Raw != nil {
		t.Errorf("known: %+v, %v", s, err)
	}
	for _, in := range []string{
		`{"type":"carrier-pigeon","sink":{"loft":7},"id":"lst_1"}`,
		`{"sink":{"loft":7},"id":"lst_1"}`,
		`{"type":"http","sink":[1],"id":"lst_1"}`,
		`{"type":"http","sink":"text","id":"lst_1"}`,
		`{"type":7,"sink":null,"id":"lst_1"}`,
	} {
		var s LogStream
		if err := json.Unmarshal([]byte(in), &s); err != nil || s.ID != "lst_1" || s.Sink.HTTP != nil {
			t.Errorf("%s: %+v, %v", in, s, err)
		}
		var want struct{ Sink json.RawMessage }
		if err := json.Unmarshal([]byte(in), &want); err != nil {
			t.Fatal(err)
		}
		if string(s.Sink.Raw) != string(want.Sink) {
			t.Errorf("%s: kept %s", in, s.Sink.Raw)
		}
		out, err := json.Marshal(s.Sink)
		if err != nil || string(out) != string(want.Sink) {
			t.Errorf("%s: encoded as %s, %v", in, out, err)
		}
	}
	var a FlowAction
	if err := json.Unmarshal([]byte(`{"id":"a","type":"SLACK","action":"POST_MESSAGE","params":{"text":"hi"}}`), &a); err != nil || a.Params == nil && a.Type == "" {
		t.Errorf("two properties: %+v, %v", a, err)
	}
}

// TestExtra shows that users keep the fields that a tenant adds, through decoding and encoding.
func TestExtra(t *testing.T) {
	t.Parallel()
	const in = `{"user_id":"u","shoe_size":43,"na\u006de":"Ann","é":[1,{"a":"b"}],"email":null}`
	var u User
	if err := json.Unmarshal([]byte(in), &u); err != nil {
		t.Fatal(err)
	}
	if u.UserID != "u" || u.Name != "Ann" || len(u.Extra) != 2 || string(u.Extra["shoe_size"]) != "43" || string(u.Extra["é"]) != `[1,{"a":"b"}]` {
		t.Errorf("decoded %+v", u)
	}
	out, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	if d := jsonDiff(decodeAny(t, []byte(`{"user_id":"u","shoe_size":43,"name":"Ann","é":[1,{"a":"b"}]}`)), decodeAny(t, out), ""); d != "" {
		t.Errorf("encoded %s: %s", out, d)
	}
	// One odd value costs itself only.
	if err := json.Unmarshal([]byte(`{"user_id":"u","last_login":"yesterday","blocked":"yes","name":"Ann","identities":[{"isSocial":3,"user_id":7,"connection":"c"}]}`), &u); err != nil {
		t.Fatal(err)
	}
	if u.Name != "Ann" || !u.LastLogin.IsZero() || len(u.Identities) != 1 || u.Identities[0].Connection != "c" || u.Identities[0].UserID != "7" {
		t.Errorf("decoded %+v", u)
	}
}

// TestJobErrors decodes the three answers that the errors of a job may be.
func TestJobErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api, wire := newStub(t)
		get := func(status int, answer string) *JobErrors {
			t.Helper()
			wire.status, wire.answer = status, []byte(answer)
			e, err := api.Jobs.Errors.Get(t.Context(), "job_1")
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		if e := get(204, ""); e.Users != nil || e.Job != nil {
			t.Errorf("no errors: %+v", e)
		}
		if e := get(200, `[{"user":{"email":"a@b"},"errors":[{"code":"DUPLICATED_USER","message":"m","path":"$.email"}]}]`); len(e.Users) != 1 || e.Users[0].Errors[0].Code != "DUPLICATED_USER" || e.Users[0].User["email"] != "a@b" {
			t.Errorf("users: %+v", e)
		}
		if e := get(200, `{"id":"job_1","status":"failed","status_details":"why"}`); e.Job == nil || e.Job.StatusDetails != "why" {
			t.Errorf("job: %+v", e)
		}
	})
}
