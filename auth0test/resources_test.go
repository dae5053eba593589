package auth0test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// visit is a call and what has to come of it.
type visit struct {
	call   string // method and path under /api/v2, with {noun} for the ids of the world
	body   string
	status int
	// want is what dotted paths of the answer lead to: path=value, values of a
	// list joined by commas, one check after the other behind semicolons.
	want string
	// keep is the noun under which the answer's id is kept.
	keep string
}

// walk takes the steps in order.
func (w *world) walk(t *testing.T, steps []visit) {
	t.Helper()
	for _, s := range steps {
		method, path, _ := strings.Cut(s.call, " ")
		r := w.ask(t, method, path, s.body)
		if r.status != s.status {
			t.Errorf("%s: %d %s; want %d", s.call, r.status, r.body, s.status)
			continue
		}
		if s.want == "" && s.keep == "" {
			if s.status == 204 && r.body != "" {
				t.Errorf("%s: 204 with a body: %s", s.call, r.body)
			}
			continue
		}
		var doc any
		if err := json.Unmarshal([]byte(r.body), &doc); err != nil {
			t.Errorf("%s: %q: %v", s.call, r.body, err)
			continue
		}
		for want := range strings.SplitSeq(s.want, "; ") {
			if want == "" {
				continue
			}
			field, value, _ := strings.Cut(w.fill(want, func(s string) string { return s }), "=")
			if got := strings.Join(lookup(doc, field), ","); got != value {
				t.Errorf("%s: %s is %q, want %q; %s", s.call, field, got, value, r.body)
			}
		}
		if s.keep != "" {
			object, _ := doc.(map[string]any)
			w.ids[s.keep] = firstOf(text(object["id"]), text(object["client_id"]), text(object["user_id"]))
		}
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	newWorld(t, Options{}).walk(t, []visit{
		{"POST /roles", `{"name":"Reader","description":"Reads"}`, 200, "name=Reader; description=Reads", "reader"},
		{"POST /roles", `{"name":"Reader"}`, 409, "errorCode=role_conflict; error=Conflict", ""},
		{"POST /roles", `{}`, 400, "errorCode=invalid_body; message=Payload validation error: 'Missing required property: name'.", ""},
		{"POST /roles", `{"name":"x","owner":"y"}`, 400, "errorCode=invalid_body", ""},
		{"POST /roles", `{"name":7}`, 400, "message=Payload validation error: 'Expected type string but found type integer' on property name.", ""},
		{"GET /roles", "", 200, "name=Editor,Reader", ""},
		{"GET /roles?name_filter=read", "", 200, "name=Reader", ""},
		{"GET /roles?per_page=1&page=1&include_totals=true", "", 200, "roles.name=Reader; start=1; limit=1; total=2; length=", ""},
		{"GET /roles?per_page=0", "", 400, "errorCode=invalid_query_string", ""},
		{"GET /roles/{reader}", "", 200, "id={reader}; name=Reader", ""},
		{"PATCH /roles/{reader}", `{"name":"Viewer"}`, 200, "name=Viewer; description=Reads", ""},
		{"PATCH /roles/{reader}", `{"name":"Editor"}`, 409, "errorCode=role_conflict", ""},
		{"PATCH /roles/rol_none", `{"name":"a"}`, 404, "errorCode=inexistent_role", ""},
		{"GET /roles/rol_none", "", 404, "errorCode=inexistent_role; statusCode=404", ""},
		{"POST /roles", `{"name":"Reader"}`, 200, "", "second"}, // the name is free again
		{"DELETE /roles/{second}", "", 200, "", ""},
		{"DELETE /roles/{second}", "", 404, "errorCode=inexistent_role", ""},

		{"GET /roles/{role}/permissions", "", 200, "permission_name=read:all; resource_server_identifier=https://api.example.com; resource_server_name=API; description=All of it", ""},
		{"POST /roles/{reader}/permissions", `{"permissions":[{"resource_server_identifier":"https://api.example.com","permission_name":"write:all"},{"resource_server_identifier":"https://api.example.com","permission_name":"read:all"}]}`, 201, "", ""},
		{"POST /roles/{reader}/permissions", `{"permissions":[{"resource_server_identifier":"https://api.example.com","permission_name":"write:all"}]}`, 201, "", ""},
		{"GET /roles/{reader}/permissions", "", 200, "permission_name=write:all,read:all", ""},
		{"POST /roles/{reader}/permissions", `{"permissions":[{"resource_server_identifier":"https://api.example.com","permission_name":"none"}]}`, 404, "errorCode=inexistent_permission", ""},
		{"POST /roles/{reader}/permissions", `{"permissions":[{"resource_server_identifier":"https://none","permission_name":"a"}]}`, 404, "errorCode=inexistent_resource_server", ""},
		{"POST /roles/{reader}/permissions", `{"permissions":[]}`, 400, "errorCode=invalid_body", ""},
		{"POST /roles/rol_none/permissions", `{"permissions":[{"resource_server_identifier":"a","permission_name":"a"}]}`, 404, "errorCode=inexistent_role", ""},
		{"DELETE /roles/{reader}/permissions", `{"permissions":[{"resource_server_identifier":"https://api.example.com","permission_name":"write:all"}]}`, 200, "", ""},
		{"GET /roles/{reader}/permissions?include_totals=true", "", 200, "permissions.permission_name=read:all; total=1", ""},

		{"POST /roles/{reader}/users", `{"users":["{user}","{secondary}"]}`, 200, "", ""},
		{"POST /roles/{reader}/users", `{"users":["{user}","auth0|none"]}`, 404, "errorCode=inexistent_user", ""},
		{"GET /roles/{reader}/users", "", 200, "user_id={user},{secondary}; email=ann@example.com,ann@example.com; name=Ann,ann@example.com; created_at=", ""},
		{"GET /roles/{reader}/users?take=1", "", 200, "users.user_id={user}", ""},
		{"GET /roles/{reader}/users?take=5", "", 200, "users.user_id={user},{secondary}; next=", ""},
		{"GET /roles/{reader}/users?from=x", "", 400, "errorCode=invalid_query_string", ""},
		{"GET /users/{user}/roles", "", 200, "name=Editor,Viewer", ""},
		{"DELETE /users/{secondary}", "", 204, "", ""},
		{"GET /roles/{reader}/users", "", 200, "user_id={user}", ""},
		{"DELETE /roles/{reader}", "", 200, "", ""},
		{"GET /users/{user}/roles", "", 200, "name=Editor", ""},
	})
}

func TestResourceServers(t *testing.T) {
	t.Parallel()
	newWorld(t, Options{Audiences: []string{"https://other.example.com"}}).walk(t, []visit{
		{"GET /resource-servers", "", 200, "identifier=https://tenant.auth0.test/api/v2/,https://other.example.com,https://api.example.com; is_system=true,false,false", ""},
		{"GET /resource-servers?identifiers=https://api.example.com", "", 200, "name=API", ""},
		{"POST /resource-servers", `{"identifier":"urn:a","scopes":[{"value":"a"}],"token_lifetime":60}`, 201, "name=urn:a; token_lifetime=60; signing_alg=RS256; scopes.value=a", "a"},
		{"POST /resource-servers", `{"identifier":"urn:a"}`, 409, "errorCode=resource_server_conflict", ""},
		{"POST /resource-servers", `{"name":"a"}`, 400, "errorCode=invalid_body", ""},
		{"POST /resource-servers", `{"identifier":"urn:b","token_lifetime":2592001}`, 400, "message=Payload validation error: 'Value 2.592001e+06 is greater than maximum 2.592e+06' on property token_lifetime.", ""},
		{"POST /resource-servers", `{"identifier":"urn:b","token_dialect":"none"}`, 400, "errorCode=invalid_body", ""},
		{"GET /resource-servers/{a}", "", 200, "identifier=urn:a", ""},
		{"PATCH /resource-servers/{a}", `{"name":"A"}`, 201, "name=A; identifier=urn:a", ""},
		{"PATCH /resource-servers/{a}", `{"identifier":"urn:c"}`, 400, "errorCode=invalid_body", ""},
		{"DELETE /resource-servers/{a}", "", 204, "", ""},
		{"DELETE /resource-servers/{a}", "", 204, "", ""},
		{"GET /resource-servers/{a}", "", 404, "errorCode=inexistent_resource_server", ""},
		{"GET /roles/{role}/permissions", "", 200, "permission_name=read:all", ""},
		{"DELETE /resource-servers/{resource server}", "", 204, "", ""},
		{"GET /roles/{role}/permissions", "", 200, "permission_name=", ""}, // gone with its API
	})
}

func TestOrganizations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Clock: newClock().Now})
	w.walk(t, []visit{
		{"POST /organizations", `{"name":"beta","metadata":{"k":"v"},"enabled_connections":[{"connection_id":"{connection}","assign_membership_on_login":true}]}`, 201, "name=beta; display_name=beta; metadata.k=v", "beta"},
		{"POST /organizations", `{"name":"beta"}`, 409, "errorCode=organization_conflict", ""},
		{"POST /organizations", `{"name":"gamma","enabled_connections":[{"connection_id":"con_none"}]}`, 400, "errorCode=inexistent_connection", ""},
		{"POST /organizations", `{"name":""}`, 400, "errorCode=invalid_body", ""},
		{"GET /organizations", "", 200, "name=acme,beta", ""},
		{"GET /organizations?sort=name:-1", "", 200, "name=beta,acme", ""},
		{"GET /organizations?take=1", "", 200, "organizations.name=acme", ""},
		{"GET /organizations/{beta}", "", 200, "name=beta", ""},
		{"GET /organizations/name/beta", "", 200, "id={beta}", ""},
		{"GET /organizations/name/none", "", 404, "errorCode=inexistent_organization", ""},
		{"PATCH /organizations/{beta}", `{"display_name":"Beta","metadata":{"x":"y"}}`, 200, "display_name=Beta; metadata.x=y; metadata.k=; name=beta", ""},
		{"PATCH /organizations/{beta}", `{"name":"acme"}`, 409, "errorCode=organization_conflict", ""},

		{"GET /organizations/{beta}/enabled_connections", "", 200, "connection_id={connection}; assign_membership_on_login=true; show_as_button=true; connection.name=customers; is_enabled=", ""},
		{"POST /organizations/{beta}/enabled_connections", `{"connection_id":"{connection}"}`, 409, "errorCode=organization_connection_conflict", ""},
		{"POST /organizations/{beta}/enabled_connections", `{"connection_id":"con_none"}`, 404, "errorCode=inexistent_connection", ""},
		{"PATCH /organizations/{beta}/enabled_connections/{connection}", `{"show_as_button":false}`, 200, "show_as_button=false; assign_membership_on_login=true", ""},
		{"GET /organizations/{beta}/enabled_connections/{connection}", "", 200, "show_as_button=false", ""},
		{"GET /organizations/{beta}/connections/{connection}", "", 200, "show_as_button=false; is_enabled=true; connection_id={connection}", ""},
		{"GET /organizations/{beta}/connections?is_enabled=false", "", 200, "connection_id=", ""},
		{"DELETE /organizations/{beta}/enabled_connections/{connection}", "", 204, "", ""},
		{"DELETE /organizations/{beta}/enabled_connections/{connection}", "", 404, "errorCode=inexistent_connection", ""},

		{"POST /organizations/{beta}/members", `{"members":["{secondary}","{user}"]}`, 204, "", ""},
		{"POST /organizations/{beta}/members", `{"members":["auth0|none"]}`, 400, "errorCode=inexistent_user", ""},
		{"POST /organizations/org_none/members", `{"members":["{user}"]}`, 404, "errorCode=inexistent_organization", ""},
		{"GET /organizations/{beta}/members", "", 200, "user_id={secondary},{user}; name=ann@example.com,Ann; roles=", ""},
		{"GET /organizations/{beta}/members?take=50", "", 200, "members.user_id={secondary},{user}; next=", ""},
		{"POST /organizations/{beta}/members/{user}/roles", `{"roles":["{role}"]}`, 204, "", ""},
		{"POST /organizations/{beta}/members/{user}/roles", `{"roles":["rol_none"]}`, 400, "errorCode=inexistent_role", ""},
		{"POST /organizations/{beta}/members/auth0%7Cnone/roles", `{"roles":["{role}"]}`, 404, "errorCode=inexistent_member", ""},
		{"GET /organizations/{beta}/members/{user}/roles", "", 200, "id={role}; name=Editor", ""},
		{"GET /organizations/{beta}/members/{user}/effective-roles", "", 200, "roles.name=Editor; roles.sources=direct", ""},
		{"GET /organizations/{beta}/members?fields=user_id,roles", "", 200, "user_id={secondary},{user}; roles.name=Editor; email=", ""},
		{"GET /organizations/{beta}/roles/{role}/members", "", 200, "members.user_id={user}", ""},
		{"GET /users/{user}/organizations", "", 200, "name=acme,beta", ""},
		{"DELETE /organizations/{beta}/members/{user}/roles", `{"roles":["{role}"]}`, 204, "", ""},
		{"GET /organizations/{beta}/members/{user}/roles", "", 200, "id=", ""},
		{"DELETE /organizations/{beta}/members", `{"members":["{secondary}"]}`, 204, "", ""},
		{"GET /organizations/{beta}/members?include_totals=true", "", 200, "members.user_id={user}; total=1; start=0; limit=50", ""},

		{"POST /organizations/{beta}/client-grants", `{"grant_id":"{client grant}"}`, 201, "id={client grant}; client_id={client}", ""},
		{"POST /organizations/{beta}/client-grants", `{"grant_id":"{client grant}"}`, 409, "errorCode=organization_client_grant_conflict", ""},
		{"POST /organizations/{beta}/client-grants", `{"grant_id":"cgr_none"}`, 404, "errorCode=inexistent_client_grant", ""},
		{"GET /organizations/{beta}/client-grants?client_id={client}", "", 200, "id={client grant}", ""},
		{"GET /organizations/{beta}/client-grants?audience=none", "", 200, "id=", ""},
		{"GET /client-grants/{client grant}/organizations", "", 200, "name=acme,beta", ""},
		{"DELETE /organizations/{beta}/client-grants/{client grant}", "", 204, "", ""},
		{"DELETE /organizations/{beta}/client-grants/{client grant}", "", 404, "errorCode=inexistent_client_grant", ""},

		{"POST /organizations/{beta}/invitations", `{"inviter":{"name":"Ann"},"invitee":{"email":"x@example.com"},"client_id":"{client}","ttl_sec":60}`, 200, "organization_id={beta}; created_at=2023-02-03T19:30:00.000Z; expires_at=2023-02-03T19:31:00.000Z; ttl_sec=", "new"},
		{"POST /organizations/{beta}/invitations", `{"inviter":{"name":"Ann"},"invitee":{"email":"x@example.com"},"client_id":"none"}`, 404, "errorCode=inexistent_client", ""},
		{"POST /organizations/{beta}/invitations", `{"inviter":{"name":"Ann"},"client_id":"{client}"}`, 400, "errorCode=invalid_body", ""},
		{"GET /organizations/{beta}/invitations", "", 200, "invitee.email=x@example.com", ""},
		{"GET /organizations/{organization}/invitations/{invitation}", "", 200, "expires_at=2023-02-10T19:30:00.000Z", ""},
		{"GET /organizations/{beta}/invitations/{invitation}", "", 404, "errorCode=inexistent_invitation", ""}, // another organization's
		{"DELETE /organizations/{beta}/invitations/{new}", "", 204, "", ""},
		{"DELETE /organizations/{beta}/invitations/{new}", "", 404, "", ""},

		{"DELETE /organizations/{beta}", "", 204, "", ""},
		{"DELETE /organizations/{beta}", "", 404, "errorCode=inexistent_organization", ""},
		{"GET /users/{user}/organizations", "", 200, "name=acme", ""},
		{"DELETE /connections/{connection}", "", 204, "", ""},
		{"GET /organizations/{organization}/enabled_connections", "", 200, "connection_id=", ""},
	})
	if n := len(w.memberRoles.of); n != 1 { // Ann's in acme
		t.Errorf("%d members have roles, want 1", n)
	}
}

func TestClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Clients: []Client{{ID: "given", Secret: "s"}}})
	w.walk(t, []visit{
		{"POST /clients", `{"name":"M2M","app_type":"non_interactive","client_metadata":{"a":"1","b":"2"}}`, 201, "name=M2M; tenant=tenant; is_first_party=true; global=false", "m2m"},
		{"POST /clients", `{"app_type":"spa"}`, 400, "message=Payload validation error: 'Missing required property: name'.", ""},
		{"POST /clients", `{"name":"x","app_type":"nothing"}`, 400, "errorCode=invalid_body", ""},
		{"POST /clients", `{"name":"x","nobody":1}`, 400, "message=Payload validation error: 'Additional properties not allowed: nobody'.", ""},
		{"POST /clients", `{"name":"x","jwt_configuration":{"lifetime_in_seconds":"1"}}`, 400, "message=Payload validation error: 'Expected type integer but found type string' on property jwt_configuration.lifetime_in_seconds.", ""},
		{"GET /clients", "", 200, "name=given,App,M2M", ""},
		{"GET /clients?app_type=spa,native", "", 200, "name=App", ""},
		{"GET /clients?is_global=true", "", 200, "name=", ""},
		{"GET /clients?is_first_party=true&per_page=1&page=2", "", 200, "name=M2M", ""},
		{"GET /clients?q=client_metadata.a:%221%22%20AND%20name:m*", "", 200, "name=M2M", ""},
		{"GET /clients?q=(", "", 400, "errorCode=invalid_query_string", ""},
		{"GET /clients?fields=client_id&take=2", "", 200, "clients.client_id=given,{client}; clients.name=", ""},
		{"GET /clients/{m2m}?fields=client_secret&include_fields=false", "", 200, "name=M2M; client_secret=", ""},
		{"PATCH /clients/{m2m}", `{"client_metadata":{"a":null,"c":"3"},"description":"d"}`, 200, "client_metadata.a=; client_metadata.b=2; client_metadata.c=3; description=d; name=M2M", ""},
		{"GET /clients/none", "", 404, "errorCode=inexistent_client", ""},
		{"POST /clients/none/rotate-secret", "", 404, "errorCode=inexistent_client", ""},
		{"POST /clients/{m2m}/credentials", `{"credential_type":"public_key","name":"k"}`, 201, "name=k", "key"},
		{"GET /clients/{m2m}/credentials", "", 200, "id={key}", ""},
		{"PATCH /clients/{m2m}/credentials/{key}", `{"expires_at":"2030-01-01T00:00:00Z"}`, 201, "expires_at=2030-01-01T00:00:00Z", ""},
		{"GET /clients/{m2m}/credentials/{credential}", "", 404, "errorCode=inexistent_credential", ""}, // another client's
		{"DELETE /clients/{m2m}/credentials/{key}", "", 204, "", ""},
		{"GET /clients/{m2m}/credentials", "", 200, "id=", ""},
		{"GET /clients/{client}/connections", "", 200, "connections.name=customers", ""},
		{"GET /clients/{client}/connections?strategy=samlp", "", 200, "connections.name=", ""},

		{"POST /client-grants", `{"client_id":"{m2m}","audience":"https://api.example.com","scope":["read:all"]}`, 201, "client_id={m2m}; subject_type=client; scope=read:all", "grant"},
		{"POST /client-grants", `{"client_id":"{m2m}","audience":"https://api.example.com"}`, 409, "errorCode=client_grant_conflict", ""},
		{"POST /client-grants", `{"client_id":"none","audience":"https://api.example.com"}`, 404, "errorCode=inexistent_client", ""},
		{"POST /client-grants", `{"client_id":"{m2m}","audience":"https://none"}`, 404, "errorCode=inexistent_resource_server", ""},
		{"GET /client-grants?client_id={m2m}", "", 200, "id={grant}", ""},
		{"GET /client-grants?audience=https://api.example.com", "", 200, "client_id={client},{m2m}", ""},
		{"GET /client-grants?allow_any_organization=true", "", 200, "id=", ""},
		{"PATCH /client-grants/{grant}", `{"scope":["read:all","write:all"]}`, 200, "scope=read:all,write:all", ""},
	})

	// The application fetches tokens with its secret, for what it was granted.
	doc := w.ask(t, "GET", "/clients/{m2m}", "").doc(t)
	ask := func(secret, audience string) reply {
		return send(t, w, "POST", "/oauth/token", string(mustJSON(map[string]any{
			"grant_type": "client_credentials", "client_id": w.ids["m2m"], "client_secret": secret, "audience": audience,
		})))
	}
	old := doc["client_secret"].(string)
	if r := ask(old, "https://api.example.com"); r.status != 200 || r.doc(t)["scope"] != "read:all write:all" {
		t.Errorf("a token for what was granted: %d %s", r.status, r.body)
	}
	if r := ask(old, "https://"+DefaultDomain+"/api/v2/"); r.status != 403 {
		t.Errorf("a token for what was not granted: %d %s", r.status, r.body)
	}
	rotated := w.ask(t, "POST", "/clients/{m2m}/rotate-secret", "").doc(t)["client_secret"].(string)
	if a, b := ask(old, "https://api.example.com"), ask(rotated, "https://api.example.com"); a.status != 401 || b.status != 200 || rotated == old || len(rotated) != 64 {
		t.Errorf("after the rotation: %d with the old secret, %d with the new one", a.status, b.status)
	}
	w.walk(t, []visit{
		{"DELETE /clients/{m2m}", "", 204, "", ""},
		{"DELETE /clients/{m2m}", "", 204, "", ""},
		{"GET /clients/{m2m}", "", 404, "errorCode=inexistent_client", ""},
		{"GET /client-grants/{grant}", "", 404, "errorCode=inexistent_client_grant", ""},
		{"DELETE /client-grants/{grant}", "", 204, "", ""},
	})
	if r := ask(rotated, "https://api.example.com"); r.status != 401 {
		t.Errorf("a token for a deleted application: %d", r.status)
	}
}

func TestConnectionObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.walk(t, []visit{
		{"POST /connections", `{"name":"saml","strategy":"samlp","options":{"signInEndpoint":"https://idp.example.com"},"enabled_clients":["{client}"]}`, 201, "strategy=samlp; enabled_clients={client}; options.signInEndpoint=https://idp.example.com; realms=saml", "saml"},
		{"POST /connections", `{"name":"saml","strategy":"oidc"}`, 409, "errorCode=connection_conflict", ""},
		{"POST /connections", `{"name":"x"}`, 400, "errorCode=invalid_body", ""},
		{"POST /connections", `{"name":"x","strategy":"oidc","enabled_clients":["none"]}`, 400, "errorCode=inexistent_client", ""},
		{"GET /connections?strategy=samlp&strategy=oidc", "", 200, "name=saml", ""},
		{"GET /connections?name=customers&fields=name", "", 200, "name=customers; id=", ""},
		{"GET /connections?take=2", "", 200, "connections.name=Username-Password-Authentication,customers", ""},
		{"PATCH /connections/{saml}", `{"options":{"debug":true},"display_name":"SAML"}`, 200, "options.debug=true; options.signInEndpoint=; display_name=SAML; name=saml; enabled_clients={client}", ""},
		{"PATCH /connections/{saml}", `{"name":"other"}`, 400, "errorCode=invalid_body", ""},
		{"PATCH /connections/{saml}", `{"enabled_clients":["headroom-test-client"]}`, 200, "enabled_clients=headroom-test-client", ""},
		{"PATCH /connections/{saml}/clients", `[{"client_id":"{client}","status":true},{"client_id":"headroom-test-client","status":false}]`, 204, "", ""},
		{"PATCH /connections/{saml}/clients", `[{"client_id":"none","status":true}]`, 400, "errorCode=inexistent_client", ""},
		{"PATCH /connections/{saml}/clients", `[{"client_id":"{client}"}]`, 400, "errorCode=invalid_body", ""},
		{"GET /connections/{saml}/clients", "", 200, "clients.client_id={client}", ""},
		{"GET /connections/{saml}/status", "", 200, "", ""},
		{"GET /connections/con_none/status", "", 404, "", ""},
		{"DELETE /connections/{connection}/users?email=ann%40example.com", "", 204, "", ""},
		{"DELETE /connections/{connection}/users", "", 400, "errorCode=invalid_query_string", ""},
		{"GET /users/{secondary}", "", 404, "errorCode=inexistent_user", ""},
		{"DELETE /connections/{saml}", "", 204, "", ""},
		{"DELETE /connections/{saml}", "", 204, "", ""},
		{"GET /connections/{saml}", "", 404, "errorCode=inexistent_connection", ""},
		{"DELETE /clients/{client}", "", 204, "", ""},
		{"GET /connections/{connection}/clients", "", 200, "clients.client_id=", ""},
	})
	id := w.ids["user"]
	con := w.connection(DefaultConnection, false).ID
	if r := w.ask(t, "DELETE", "/connections/"+con, ""); r.status != 204 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if w.users.byID[id] != nil || len(w.members.in[id])+len(w.userRoles.of[id]) > 0 {
		t.Error("the users of a deleted connection are still there")
	}
}

func TestUserLinks(t *testing.T) {
	t.Parallel()
	newWorld(t, Options{}).walk(t, []visit{
		{"GET /users/{user}/roles?include_totals=true", "", 200, "roles.name=Editor; total=1", ""},
		{"POST /users/{user}/roles", `{"roles":["{role}"]}`, 204, "", ""},
		{"POST /users/{user}/roles", `{"roles":["rol_none"]}`, 404, "errorCode=inexistent_role", ""},
		{"POST /users/{user}/roles", `{"roles":[]}`, 400, "errorCode=invalid_body", ""},
		{"POST /users/auth0%7Cnone/roles", `{"roles":["{role}"]}`, 404, "errorCode=inexistent_user", ""},
		{"GET /users/auth0%7Cnone/roles", "", 404, "errorCode=inexistent_user", ""},
		{"GET /users/{user}/effective-roles", "", 200, "roles.name=Editor; roles.sources=direct", ""},
		{"GET /users/{user}/permissions", "", 200, "permission_name=write:all,read:all; sources.source_type=DIRECT,ROLE; sources.source_name=,Editor", ""},
		{"POST /users/{user}/permissions", `{"permissions":[{"resource_server_identifier":"https://api.example.com","permission_name":"read:all"}]}`, 201, "", ""},
		{"GET /users/{user}/permissions", "", 200, "permission_name=write:all,read:all; sources.source_type=DIRECT,DIRECT,ROLE", ""},
		{"DELETE /users/{user}/roles", `{"roles":["{role}"]}`, 204, "", ""},
		{"DELETE /users/{user}/permissions", `{"permissions":[{"resource_server_identifier":"https://api.example.com","permission_name":"write:all"}]}`, 204, "", ""},
		{"GET /users/{user}/permissions", "", 200, "permission_name=read:all", ""},

		// The world has linked the user auth0|3 of the connection customers.
		{"GET /users/auth0%7C3", "", 404, "errorCode=inexistent_user", ""},
		{"GET /users/{user}", "", 200, "identities.connection=Username-Password-Authentication,customers; identities.profileData.email=third@example.com; email=ann@example.com", ""},
		{"POST /users/{user}/identities", `{"provider":"auth0","user_id":"2"}`, 201, "connection=Username-Password-Authentication,customers,customers", ""},
		{"POST /users/{user}/identities", `{"provider":"auth0","user_id":"2"}`, 400, "errorCode=inexistent_user", ""},
		{"POST /users/{user}/identities", `{"provider":"auth0"}`, 400, "errorCode=invalid_body", ""},
		{"GET /users?q=identities.profileData.email:third*", "", 200, "user_id={user}", ""},
		{"DELETE /users/{user}/identities/auth0/3", "", 200, "user_id={local},2", ""},
		{"DELETE /users/{user}/identities/auth0/3", "", 400, "errorCode=inexistent_identity", ""},
		{"GET /users/auth0%7C3", "", 200, "email=third@example.com; identities.connection=customers; identities.profileData=; nickname=third", ""},
		{"POST /users", `{"connection":"customers","email":"third@example.com","password":"x"}`, 409, "", ""},
		{"DELETE /users/{user}/identities/auth0/{local}", "", 400, "errorCode=invalid_operation", ""},

		{"GET /users/{user}/enrollments", "", 200, "id={method}; auth_method=sms; phone_number=+491700000; status=confirmed", ""},
		{"POST /users/{user}/authentication-methods", `{"type":"email","email":"a@example.com"}`, 201, "type=email", "mail"},
		{"POST /users/{user}/authentication-methods", `{"type":"nothing"}`, 400, "errorCode=invalid_body", ""},
		{"GET /users/{user}/authentication-methods?include_totals=true", "", 200, "authenticators.type=phone,email; total=2", ""},
		{"PATCH /users/{user}/authentication-methods/{method}", `{"name":"Mine"}`, 200, "name=Mine; phone_number=+491700000", ""},
		{"GET /users/{user}/authentication-methods/{method}", "", 200, "name=Mine", ""},
		{"GET /users/auth0%7C3/authentication-methods/{method}", "", 404, "errorCode=inexistent_authentication_method", ""},
		{"DELETE /users/{user}/authentication-methods/{mail}", "", 204, "", ""},
		{"DELETE /users/{user}/authentication-methods/{mail}", "", 404, "", ""},
		{"DELETE /users/{user}/authentication-methods", "", 204, "", ""},
		{"GET /users/{user}/authentication-methods", "", 200, "id=", ""},
		{"GET /users/{user}/enrollments", "", 200, "id=", ""},
		{"GET /users/{user}/organizations", "", 200, "name=acme", ""},
		{"DELETE /users/{user}", "", 204, "", ""},
		{"GET /organizations/{organization}/members", "", 200, "user_id=", ""},
	})
}

func TestSamples(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.walk(t, []visit{
		// What was sent and what the path names come back.
		{"POST /actions/actions", `{"name":"Mine","supported_triggers":[{"id":"post-login","version":"v3"}]}`, 201, "name=Mine; supported_triggers.version=v3", ""},
		{"GET /actions/actions/act_7", "", 200, "id=act_7", ""},
		{"GET /actions/actions?per_page=10", "", 200, "total=1; page=0; per_page=10; actions.name=name", ""},
		{"GET /actions/actions?page=1", "", 200, "total=1; page=1; actions.name=", ""},
		{"GET /rules?include_totals=true&fields=id", "", 200, "rules.id=id; rules.name=; total=1", ""},
		{"GET /rules", "", 200, "id=id", ""},
		{"GET /branding/phone/providers", "", 200, "providers.channel=phone", ""},
		{"GET /stats/active-users", "", 200, "", ""},
		{"POST /refresh-tokens/revoke", `{}`, 202, "", ""},
		{"POST /hooks", `{"name":"h"}`, 400, "errorCode=invalid_body", ""},
		{"POST /hooks", `{"name":`, 400, "message=Invalid request payload JSON format", ""},
		{"GET /users-by-email", "", 400, "errorCode=invalid_query_string", ""},
		// What is no operation.
		{"GET /nothing", "", 404, "error=Not Found; errorCode=", ""},
		{"PUT /roles", `{}`, 404, "error=Not Found", ""},
		{"GET /roles/a/b/c", "", 404, "error=Not Found", ""},
	})
	r := w.ask(t, "GET", "/events", "")
	data, ok := strings.CutPrefix(r.body, "data: ")
	var event map[string]any
	if r.status != 200 || !ok || r.header.Get("Content-Type") != "text/event-stream" || json.Unmarshal([]byte(data), &event) != nil || len(event) == 0 {
		t.Errorf("GET /events: %d %q", r.status, r.body)
	}
}

// A call without the operation's scope is refused, whichever operation it is.
func TestScopesOfAllOperations(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{CheckScopes: true, Clients: []Client{{ID: "c", Secret: "s", Scopes: []string{"read:roles"}}}})
	r := send(t, tenant, "POST", "/oauth/token", `{"grant_type":"client_credentials","client_id":"c","client_secret":"s","audience":"https://tenant.auth0.test/api/v2/"}`)
	bearer := "Bearer " + r.doc(t)["access_token"].(string)
	for call, status := range map[string]int{"GET /api/v2/roles": 200, "GET /api/v2/rules": 403, "GET /api/v2/clients": 403, "GET /api/v2/rules/x": 403} {
		method, path, _ := strings.Cut(call, " ")
		if r := send(t, tenant, method, path, "", "Authorization", bearer); r.status != status {
			t.Errorf("%s: %d, want %d", call, r.status, status)
		}
	}
	if r := send(t, tenant, "POST", "/api/v2/roles", `{"name":"a"}`, "Authorization", bearer); r.status != 403 || r.doc(t)["errorCode"] != "insufficient_scope" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestExports(t *testing.T) {
	t.Parallel()
	clock := newClock()
	w := newWorld(t, Options{Clock: clock.Now, JobTime: 10 * time.Second})
	w.walk(t, []visit{
		{"POST /jobs/users-exports", `{"connection_id":"{connection}","format":"csv","fields":[{"name":"email"},{"name":"identities.connection","export_as":"from"}]}`, 200, "type=users_export; status=pending; format=csv; connection_id={connection}", "csv"},
		{"POST /jobs/users-exports", `{"limit":1,"fields":[{"name":"name","export_as":"full"},{"name":"app_metadata.none"}]}`, 200, "limit=1", "json"},
		{"PATCH /users/{user}", `{"user_metadata":{"of":{"a":[1,true,"x"]}}}`, 200, "", ""},
		{"POST /jobs/users-exports", `{"format":"csv","limit":1,"fields":[{"name":"user_metadata"},{"name":"user_metadata.of.a"}]}`, 200, "", "objects"},
		{"POST /jobs/users-exports", `{"connection_id":"con_none"}`, 400, "errorCode=inexistent_connection", ""},
		{"POST /jobs/users-exports", `{"format":"csv","fields":[` + strings.Repeat(`{"name":"a"},`, 30) + `{"name":"a"}]}`, 400, "errorCode=invalid_body", ""},
		{"POST /jobs/users-exports", `{"format":"xml"}`, 400, "errorCode=invalid_body", ""},
		{"POST /jobs/verification-email", `{"user_id":"{user}"}`, 201, "type=verification_email; status=pending", "mail"},
		{"POST /jobs/verification-email", `{"user_id":"auth0|none"}`, 400, "errorCode=inexistent_user", ""},
		{"GET /jobs/{csv}", "", 200, "status=pending; location=", ""},
	})
	if n := w.Report().ActiveJobs; n != 0 {
		t.Errorf("%d active import jobs, want 0: exports do not count", n)
	}
	clock.set(10 * time.Second)
	w.walk(t, []visit{
		{"GET /jobs/{mail}", "", 200, "status=completed; location=; summary=", ""},
		{"GET /jobs/{mail}/errors", "", 204, "", ""},
	})
	fetch := func(noun string) (string, string) {
		t.Helper()
		doc := w.ask(t, "GET", "/jobs/{"+noun+"}", "").doc(t)
		if doc["status"] != "completed" || doc["percentage_done"] != 100.0 {
			t.Fatalf("job %v", doc)
		}
		link := doc["location"].(string)
		return unzip(t, send(t, w, "GET", link, "")), link
	}
	if got, _ := fetch("csv"); got != "email,from\nann@example.com,customers\n" {
		t.Errorf("CSV %q", got)
	}
	if got, _ := fetch("objects"); got != "user_metadata,user_metadata.of.a\n"+`"{""of"":{""a"":[1,true,""x""]}}","1,true,x"`+"\n" {
		t.Errorf("CSV %q", got)
	}
	got, link := fetch("json")
	if got != `{"full":"Ann"}`+"\n" {
		t.Errorf("JSON %q", got)
	}
	clock.set(70 * time.Second) // the link holds for 60 s
	if r := send(t, w, "GET", link, ""); r.status != 200 {
		t.Errorf("at the end of its life: %d", r.status)
	}
	clock.set(71 * time.Second)
	if r := send(t, w, "GET", link, ""); r.status != 403 {
		t.Errorf("after its life: %d", r.status)
	}
	if r := send(t, w, "GET", strings.Replace(link, "signature=", "signature=0", 1), ""); r.status != 403 {
		t.Errorf("with another signature: %d", r.status)
	}
	if again, _ := fetch("json"); again != got {
		t.Errorf("a new link leads to %q", again)
	}
}

// Operations about which nothing is kept are under the plan's limits like all others.
func TestSamplesUnderLimits(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{Clock: clock.Now, AnyToken: true, Plan: plan(
		global(bucket("api", 10, 10, time.Second, "*", "/api/v2/*")), bucket("rules", 1, 1, time.Minute, "GET", "/api/v2/rules"),
	)})
	for i, want := range []int{200, 429} {
		if r := send(t, tenant, "GET", "/api/v2/rules", ""); r.status != want || r.limits() != [3]int64{1, 0, 60} {
			t.Errorf("call %d: %d with limits %v, want %d", i, r.status, r.limits(), want)
		}
	}
	if r := send(t, tenant, "GET", "/api/v2/hooks", ""); r.status != 200 || r.limits()[0] != 10 || r.limits()[1] != 7 {
		t.Errorf("another operation: %d with limits %v", r.status, r.limits())
	}
}

// Behind a server, links lead to that server.
func TestLinksOverHTTP(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{AnyToken: true})
	server := tenant.Server(t)
	get := func(method, target, body string) reply {
		t.Helper()
		return send(t, server.Client().Transport, method, target, body)
	}
	id := get("POST", server.URL+"/api/v2/jobs/users-exports", `{"format":"csv"}`).doc(t)["id"].(string)
	link := get("GET", server.URL+"/api/v2/jobs/"+id, "").doc(t)["location"].(string)
	if !strings.HasPrefix(link, server.URL+"/") {
		t.Errorf("link %s of the server %s", link, server.URL)
	}
	if got := unzip(t, get("GET", link, "")); got != "user_id,email,name,nickname,created_at,updated_at\n" {
		t.Errorf("file %q", got)
	}
	if got := get("GET", server.URL+"/api/v2/logs?take=1", "").header.Get("Link"); !strings.HasPrefix(got, "<"+server.URL+"/api/v2/logs?from=900") {
		t.Errorf("Link %s", got)
	}
}

func TestOrganizationClientsAndDomains(t *testing.T) {
	t.Parallel()
	newWorld(t, Options{}).walk(t, []visit{
		{"POST /clients", `{"name":"Second"}`, 201, "name=Second", "second"},
		{"GET /organizations/{organization}/clients", "", 200, "clients.client_id={client}; clients.client.name=App; clients.use_for_member_access=true", ""},
		{"POST /organizations/{organization}/clients", `{"clients":[{"client_id":"{second}","use_for_member_access":false},{"client_id":"none","use_for_member_access":true}]}`, 404, "errorCode=inexistent_client", ""},
		{"GET /organizations/{organization}/clients/{second}", "", 404, "errorCode=inexistent_client", ""},
		{"POST /organizations/{organization}/clients", `{"clients":[{"client_id":"{second}","use_for_member_access":false}]}`, 201, "client_id={second}; client.name=Second; use_for_member_access=false", ""},
		{"POST /organizations/{organization}/clients", `{"clients":[]}`, 400, "errorCode=invalid_body", ""},
		{"PATCH /organizations/{organization}/clients/{second}", `{"use_for_member_access":true}`, 200, "use_for_member_access=true", ""},
		{"GET /organizations/{organization}/clients?take=1", "", 200, "clients.client_id={client}", ""},
		{"DELETE /organizations/{organization}/clients", `{"clients":["{client}"]}`, 204, "", ""},
		{"GET /organizations/{organization}/clients", "", 200, "clients.client_id={second}; clients.use_for_member_access=true", ""},
		{"DELETE /clients/{second}", "", 204, "", ""},
		{"GET /organizations/{organization}/clients", "", 200, "clients.client_id=", ""},

		{"POST /organizations/{organization}/discovery-domains", `{"domain":"Two.example","status":"verified"}`, 201, "domain=two.example; status=verified; use_for_organization_discovery=true; verification_host=_auth0-challenge.two.example", "two"},
		{"POST /organizations/{organization}/discovery-domains", `{"domain":"two.example"}`, 409, "errorCode=discovery_domain_conflict", ""},
		{"POST /organizations/{organization}/discovery-domains", `{}`, 400, "errorCode=invalid_body", ""},
		{"GET /organizations/{organization}/discovery-domains?take=10", "", 200, "domains.domain=acme.example,two.example", ""},
		{"GET /organizations/{organization}/discovery-domains/{two}", "", 200, "id={two}", ""},
		{"GET /organizations/{organization}/discovery-domains/name/TWO.example", "", 200, "id={two}", ""},
		{"GET /organizations/{organization}/discovery-domains/name/none.example", "", 404, "errorCode=inexistent_discovery_domain", ""},
		{"PATCH /organizations/{organization}/discovery-domains/{two}", `{"use_for_organization_discovery":false}`, 200, "use_for_organization_discovery=false; status=verified", ""},
		{"DELETE /organizations/{organization}/discovery-domains/{two}", "", 204, "", ""},
		{"GET /organizations/{organization}/discovery-domains/{two}", "", 404, "errorCode=inexistent_discovery_domain", ""},
	})
}
