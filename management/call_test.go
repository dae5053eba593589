package management

import (
	"encoding/json"
	"errors"
	"fmt"
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
			{"no variant at all", func() error {
				_, err := api.LogStreams.Create(ctx, LogStreamCreate{Type: LogStreamTypeHTTP})
				return err
			}, "field sink"},
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
		{"a union", ConnectionCreate{Name: "db", Strategy: ConnectionStrategyAuth0, Options: &ConnectionOptions{Auth0: &ConnectionOptionsAuth0{DisableSignup: new(true)}}},
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

// misfit passes over the error of a value that was decoded but for some fields.
func misfit(err error) error {
	if odd := new(auth0.PartialError); errors.As(err, &odd) {
		return nil
	}
	return err
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
		if err := misfit(auth0.Decode([]byte(in), &s)); err != nil || s.ID != "lst_1" || s.Sink.HTTP != nil {
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
	// One odd value costs itself only, and is told of.
	var odd *auth0.PartialError
	err = json.Unmarshal([]byte(`{"user_id":"u","last_login":"yesterday","blocked":"yes","name":"Ann","identities":[{"isSocial":3,"user_id":7,"connection":"c"}]}`), &u)
	if !errors.As(err, &odd) || fmt.Sprint(odd.Mismatches) != "[last_login: string in place of time.Time blocked: string in place of bool identities[0].isSocial: number in place of bool]" {
		t.Errorf("error %v", err)
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

// TestMismatches shows that odd values are reported with their paths, through users, unions, lists and nullable objects, and that what is
// beside them is kept.
func TestMismatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api, wire := newStub(t)
		for _, c := range []struct {
			name, answer string
			call         func(auth0.RequestOption) (kept any, err error)
			kept         any
			want         string
		}{
			{"a page of users", `{"total":2,"users":[{"user_id":"u1","email":7},{"user_id":"u2","name":{},"identities":[{"user_id":9,"isSocial":"x"}]}]}`,
				func(o auth0.RequestOption) (any, error) {
					p, err := api.Users.List(t.Context(), nil, o)
					return p.Items[0].UserID + p.Items[1].UserID + string(p.Items[1].Identities[0].UserID), err
				}, "u1u29", "[users[0].email: number in place of string users[1].name: object in place of string users[1].identities[0].isSocial: string in place of bool]"},
			{"a user that is a list", `[]`,
				func(o auth0.RequestOption) (any, error) {
					u, err := api.Users.Get(t.Context(), "u", nil, o)
					return u.UserID, err
				}, "", "[: array in place of management.User]"},
			{"a connection", `{"id":"con_1","strategy":"auth0","options":{"disable_signup":"yes","import_mode":true,"password_history":{"enable":1,"size":5}}}`,
				func(o auth0.RequestOption) (any, error) {
					v, err := api.Connections.Get(t.Context(), "con_1", nil, o)
					history, _ := auth0.ValueOf(v.Options.Auth0.PasswordHistory)
					return fmt.Sprint(*v.Options.Auth0.ImportMode, *history.Size), err
				}, "true 5", "[options.disable_signup: string in place of bool options.password_history.enable: number in place of bool]"},
			{"a list under a key", `{"user_attribute_profile_templates":[{"id":"n"},{"id":7,"display_name":"d"}]}`,
				func(o auth0.RequestOption) (any, error) {
					v, err := api.UserAttributeProfiles.ListTemplates(t.Context(), o)
					return v[0].ID + v[1].DisplayName, err
				}, "nd", "[user_attribute_profile_templates[1].id: number in place of string]"},
			{"a bare list", `[{"date":"2026-08-20T00:00:00Z","logins":"many","signups":3}]`,
				func(o auth0.RequestOption) (any, error) {
					v, err := api.Stats.ListDaily(t.Context(), nil, o)
					return v[0].Signups, err
				}, 3, "[[0].logins: string in place of int]"},
			{"no list at all", `{"a":1}`,
				func(o auth0.RequestOption) (any, error) {
					v, err := api.Stats.ListDaily(t.Context(), nil, o)
					return len(v), err
				}, 0, "[: object in place of []management.StatsDay]"},
			{"a log stream", `{"id":"lst_1","type":"http","sink":{"httpEndpoint":"https://x","httpContentType":{}}}`,
				func(o auth0.RequestOption) (any, error) {
					v, err := api.LogStreams.Get(t.Context(), "lst_1", o)
					return v.Sink.HTTP.HTTPEndpoint, err
				}, "https://x", "[sink.httpContentType: object in place of string]"},
			{"errors of a job", `[{"user":{"email":"a@b"},"errors":[{"code":5,"message":"m"}]}]`,
				func(o auth0.RequestOption) (any, error) {
					v, err := api.Jobs.Errors.Get(t.Context(), "job_1", o)
					return v.Users[0].Errors[0].Message, err
				}, "m", "[[0].errors[0].code: number in place of string]"},
		} {
			wire.answer = []byte(c.answer)
			var m auth0.Meta
			kept, err := c.call(auth0.Capture(&m))
			if err != nil || kept != c.kept {
				t.Errorf("%s: kept %v, want %v; error %v", c.name, kept, c.kept, err)
			}
			if got := fmt.Sprint(m.Mismatches); got != c.want {
				t.Errorf("%s: reported %s, want %s", c.name, got, c.want)
			}
		}
	})
}

// TestDeepMismatch decodes conditions within conditions with an odd value in the innermost. Were each level decoded twice, this would
// not end.
func TestDeepMismatch(t *testing.T) {
	t.Parallel()
	const depth = 60
	open, end := `{"id":"c","type":"FLOW","action":"BOOLEAN_CONDITION","params":{"then":[`, `],"else":null}}`
	var a FlowAction
	err := auth0.Decode([]byte(strings.Repeat(open, depth)+`{"id":7,"alias":"kept"}`+strings.Repeat(end, depth)), &a)
	odd, ok := errors.AsType[*auth0.PartialError](err)
	if !ok || len(odd.Mismatches) != 1 {
		t.Fatal(err)
	}
	if want := strings.Repeat("params.then[0].", depth) + "id"; odd.Mismatches[0].Path != want {
		t.Errorf("reported at %s", odd.Mismatches[0].Path)
	}
	for range depth {
		if a.Params.FlowBooleanCondition == nil || len(a.Params.FlowBooleanCondition.Then) != 1 || a.ID != "c" {
			t.Fatalf("decoded %+v", a)
		}
		a = a.Params.FlowBooleanCondition.Then[0]
	}
	if a.Alias == nil || *a.Alias != "kept" {
		t.Errorf("decoded %+v", a)
	}
}
