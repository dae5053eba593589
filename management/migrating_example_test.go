package management_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/management"
)

// The bodies of the functions here whose names begin with migrate are the Go of docs/migrating-from-go-auth0.md, and nothing else is:
// TestMigratingGuide compares them.

func migrateNew(domain, clientID, clientSecret string) (*management.API, error) {
	client, err := auth0.New(domain, auth0.WithClientSecret(clientID, clientSecret), auth0.WithPlan("enterprise"))
	if err != nil {
		return nil, err
	}
	return management.New(client), nil
}

func migrateListUsers(ctx context.Context, api *management.API) error {
	for user, err := range api.Users.All(ctx, nil) {
		if err != nil {
			return err
		}
		fmt.Println(user.UserID, user.Email)
	}
	return nil
}

func migrateSearchUsers(ctx context.Context, api *management.API, prefix string) (*auth0.Page[*management.User], error) {
	search := management.Where("email").HasPrefix(prefix).And(management.Where("app_metadata.plan").Is("gold"))
	return api.Users.List(ctx, &management.UserListParams{Query: string(search), Sort: "created_at:-1", PerPage: 20})
}

func migrateGetUser(ctx context.Context, api *management.API, id string) (*management.User, error) {
	return api.Users.Get(ctx, id, &management.FieldParams{Fields: []string{"user_id", "email"}})
}

func migrateCreateUser(ctx context.Context, api *management.API, email, password string) (id string, err error) {
	user, err := api.Users.Create(ctx, management.UserCreate{
		Connection: "Username-Password-Authentication",
		Email:      new(email),
		Password:   new(password),
	})
	if err != nil {
		return "", err
	}
	return user.UserID, nil
}

func migrateUpdateUser(ctx context.Context, api *management.API, id string) error {
	_, err := api.Users.Update(ctx, id, management.UserUpdate{
		Name:     auth0.NullOf("Ann Example"), // set
		Nickname: auth0.NullValue[string](),   // cleared
		Blocked:  new(false),                  // sent as false; left out, it is not sent
	})
	return err
}

func migrateDeleteUser(ctx context.Context, api *management.API, id string) error {
	return api.Users.Delete(ctx, id)
}

func migrateUserRoles(ctx context.Context, api *management.API, id string) error {
	if err := api.Users.Roles.Assign(ctx, id, management.RoleIDs{Roles: []string{"rol_editor"}}); err != nil {
		return err
	}
	// Or say which roles the user is to have: what is missing is assigned, what is too much removed.
	return api.Users.Roles.Set(ctx, id, []string{"rol_editor", "rol_reader"})
}

func migrateRolePermissions(ctx context.Context, api *management.API, roleID string) error {
	return api.Roles.Permissions.Add(ctx, roleID, management.PermissionList{Permissions: []management.Permission{
		{ResourceServerIdentifier: "https://orders.example.com", PermissionName: "read:orders"},
	}})
}

func migrateOrganization(ctx context.Context, api *management.API, userID string) error {
	organization, err := api.Organizations.Create(ctx, management.OrganizationCreate{Name: "acme", DisplayName: new("Acme")})
	if err != nil {
		return err
	}
	members := management.OrganizationMemberIDs{Members: []string{userID}}
	if err := api.Organizations.Members.Create(ctx, organization.ID, members); err != nil {
		return err
	}
	return api.Organizations.Members.Roles.Assign(ctx, organization.ID, userID, management.RoleIDs{Roles: []string{"rol_admin"}})
}

func migrateInvitation(ctx context.Context, api *management.API, organizationID, clientID string) (url string, err error) {
	invitation, err := api.Organizations.Invitations.Create(ctx, organizationID, management.OrganizationInvitationCreate{
		Inviter:  management.OrganizationInvitationInviter{Name: "Ann"},
		Invitee:  management.OrganizationInvitationInvitee{Email: "bob@example.com"},
		ClientID: clientID,
	})
	if err != nil {
		return "", err
	}
	return invitation.InvitationURL, nil
}

func migrateCreateClient(ctx context.Context, api *management.API) (*management.Client, error) {
	return api.Clients.Create(ctx, management.ClientCreate{
		Name:      "Shop",
		AppType:   new(management.ClientAppTypeRegularWeb),
		Callbacks: []string{"https://shop.example.com/callback"},
	})
}

func migrateUpdateClient(ctx context.Context, api *management.API, id string) error {
	application, err := api.Clients.Get(ctx, id, nil)
	if err != nil {
		return err
	}
	update := application.ToUpdate()
	update.Callbacks = append(update.Callbacks, "https://new.example.com/callback")
	_, err = api.Clients.Update(ctx, id, update)
	return err
}

func migrateConnection(ctx context.Context, api *management.API, clientID string) error {
	connection, err := api.Connections.Create(ctx, management.ConnectionCreate{
		Name:     "customers",
		Strategy: "auth0",
		Options:  &management.ConnectionOptions{Auth0: &management.ConnectionOptionsAuth0{DisableSignup: new(true)}},
	})
	if err != nil {
		return err
	}
	return api.Connections.Clients.Update(ctx, connection.ID, []management.ConnectionClientUpdate{{ClientID: clientID, Status: true}})
}

func migrateClientGrant(ctx context.Context, api *management.API, clientID string) error {
	_, err := api.ClientGrants.Create(ctx, management.ClientGrantCreate{
		ClientID: new(clientID),
		Audience: "https://orders.example.com",
		Scope:    []string{"read:orders"},
	})
	return err
}

func migrateResourceServer(ctx context.Context, api *management.API) error {
	_, err := api.ResourceServers.Create(ctx, management.ResourceServerCreate{
		Identifier: "https://orders.example.com",
		Name:       new("Orders"),
		Scopes:     []management.ResourceServerScope{{Value: "read:orders", Description: new("Read orders")}},
	})
	return err
}

func migrateLogs(ctx context.Context, api *management.API, last string) (string, error) {
	for entry, err := range api.Logs.All(ctx, &management.LogListParams{From: last, Take: 100}) {
		if err != nil {
			return last, err
		}
		fmt.Println(entry.LogID, entry.Type)
		last = entry.LogID
	}
	return last, nil
}

func migrateImport(ctx context.Context, api *management.API, connectionID string, users []byte) error {
	job, err := api.Jobs.UsersImports.Create(ctx, management.JobUsersImportCreate{ConnectionID: connectionID, Users: users, Upsert: new(true)})
	if err != nil {
		return err
	}
	if job, err = api.Jobs.Wait(ctx, job.ID); err != nil {
		return err
	}
	fmt.Println(job.Status, job.Summary.Inserted, "inserted,", job.Summary.Failed, "failed")
	failures, err := api.Jobs.Errors.Get(ctx, job.ID)
	if err != nil {
		return err
	}
	for _, user := range failures.Users {
		fmt.Println(user.User["email"], user.Errors[0].Code)
	}
	return nil
}

func migrateExport(ctx context.Context, api *management.API, connectionID string) (location string, err error) {
	job, err := api.Jobs.UsersExports.Create(ctx, management.JobUsersExportCreate{
		ConnectionID: new(connectionID),
		Format:       new(management.JobFileFormatJSON),
	})
	if err != nil {
		return "", err
	}
	if job, err = api.Jobs.Wait(ctx, job.ID); err != nil {
		return "", err
	}
	return job.Location, nil // good for a minute
}

func migratePages(ctx context.Context, api *management.API) error {
	params := &management.RoleListParams{PerPage: 2}
	page, err := api.Roles.List(ctx, params)
	if err != nil {
		return err
	}
	fmt.Println(len(page.Items), "of", page.Total)
	// Page by page with page.Next(ctx), or to the end with auth0.AllFrom(ctx, page). A kept cursor goes on in another process:
	for role, err := range api.Roles.All(ctx, params, auth0.ResumeAt(page.Cursor)) {
		if err != nil {
			return err
		}
		fmt.Println(role.Name)
	}
	return nil
}

func migrateErrors(ctx context.Context, api *management.API, id string) error {
	_, err := api.Users.Get(ctx, id, nil)
	if errors.Is(err, auth0.ErrNotFound) {
		return nil
	}
	if e, ok := errors.AsType[*auth0.Error](err); ok {
		return fmt.Errorf("%s %s: status %d, code %s, request %s", e.Method, e.Route, e.Status, e.Code, e.RequestID)
	}
	return err
}

func migrateRetries(domain, token string) (*auth0.Client, error) {
	return auth0.New(domain, auth0.WithToken(token),
		auth0.WithPlan("enterprise"), // whose rate limits calls are paced to; left out, it is recognised from the answers
		auth0.WithReserve(0.2),       // leave a fifth of each limit to others
		auth0.WithRetries(3),         // of network failures and 5xx, where repeating does no harm
	)
}

func migrateRateLimit(ctx context.Context, api *management.API, id string) error {
	var meta auth0.Meta
	_, err := api.Users.Get(ctx, id, nil, auth0.Capture(&meta))
	fmt.Println(meta.RateLimit.Remaining, "of", meta.RateLimit.Limit, "left")
	return err
}

func migrateHTTPClient(domain, token string, httpClient *http.Client) (*auth0.Client, error) {
	return auth0.New(domain, auth0.WithToken(token), auth0.WithHTTPClient(httpClient))
}

func migrateTimeouts(ctx context.Context, api *management.API, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // for everything: the wait for a turn, the attempts, the delays between them
	defer cancel()
	_, err := api.Users.Get(ctx, id, nil, auth0.AttemptTimeout(5*time.Second)) // for one attempt
	return err
}

func migrateRaw(ctx context.Context, client *auth0.Client) (map[string]any, error) {
	return auth0.Call[map[string]any](ctx, client, "GET", "/api/v2/tenants/settings", nil, nil, nil, nil)
}

func migrateTesting() error {
	tenant, err := auth0test.New(auth0test.Options{AnyToken: true})
	if err != nil {
		return err
	}
	client, err := auth0.New(auth0test.DefaultDomain, auth0.WithToken("any"), auth0.WithHTTPClient(tenant.Client()))
	if err != nil {
		return err
	}
	api := management.New(client)
	_, err = api.Users.Create(context.Background(), management.UserCreate{
		Connection: "Username-Password-Authentication", Email: new("ann@example.com"), Password: new("made-up"),
	})
	fmt.Println(tenant.Report().Users, "user")
	return err
}

// silent is tenant for bodies that differ from run to run.
type silent tenant

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = nil
	}
	return tenant(s).RoundTrip(r)
}

// paged answers with roles, two a page.
type paged struct{}

func (paged) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := `{"start":0,"limit":2,"total":3,"roles":[{"name":"Admin"},{"name":"Editor"}]}`
	if r.URL.Query().Get("page") == "1" {
		answer = `{"start":2,"limit":2,"total":3,"roles":[{"name":"Reader"}]}`
	}
	h := http.Header{"Content-Type": {"application/json"}, "X-Ratelimit-Limit": {"50"}, "X-Ratelimit-Remaining": {"49"}}
	return &http.Response{StatusCode: http.StatusOK, Header: h, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

// over is open for other transports.
func over(transport http.RoundTripper) *management.API {
	client, err := auth0.New("example.eu.auth0.com", auth0.WithToken("token"), auth0.WithPlan("enterprise"), auth0.WithHTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		panic(err)
	}
	return management.New(client)
}

func Example_migratingClient() {
	api, err := migrateNew("example.eu.auth0.com", "client-id", "client-secret")
	fmt.Println(api != nil, err)
	client, err := migrateRetries("example.eu.auth0.com", "token")
	fmt.Println(client, err)
	client, err = migrateHTTPClient("example.eu.auth0.com", "token", &http.Client{Transport: tenant{"GET /api/v2/tenants/settings": `{"friendly_name":"Example"}`}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(migrateRaw(context.Background(), client))
	// Output:
	// true <nil>
	// auth0.Client of example.eu.auth0.com <nil>
	// map[friendly_name:Example] <nil>
}

func Example_migratingUsers() {
	ctx := context.Background()
	api := open(tenant{
		"GET /api/v2/users":            `{"start":0,"limit":100,"total":1,"users":[{"user_id":"auth0|1","email":"ann@example.com"}]}`,
		"GET /api/v2/users/auth0|1":    `{"user_id":"auth0|1","email":"ann@example.com"}`,
		"POST /api/v2/users":           `{"user_id":"auth0|2"}`,
		"PATCH /api/v2/users/auth0|2":  `{"user_id":"auth0|2"}`,
		"DELETE /api/v2/users/auth0|2": ` `,
	})
	fmt.Println(migrateListUsers(ctx, api))
	page, err := migrateSearchUsers(ctx, api, "ann")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(page.Total, page.Cursor != "")
	user, err := migrateGetUser(ctx, api, page.Items[0].UserID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(user.Email)
	id, err := migrateCreateUser(ctx, api, "bob@example.com", "made-up")
	fmt.Println(id, err)
	fmt.Println(migrateUpdateUser(ctx, api, id))
	fmt.Println(migrateDeleteUser(ctx, api, id))
	fmt.Println(migrateErrors(ctx, api, "auth0|3"))
	fmt.Println(migrateTimeouts(ctx, api, "auth0|1"))
	// Output:
	// auth0|1 ann@example.com
	// <nil>
	// 1 false
	// ann@example.com
	// sent {"email":"bob@example.com","connection":"Username-Password-Authentication","password":"made-up"}
	// auth0|2 <nil>
	// sent {"blocked":false,"name":"Ann Example","nickname":null}
	// <nil>
	// <nil>
	// <nil>
	// <nil>
}

func Example_migratingRoles() {
	ctx := context.Background()
	api := open(tenant{
		"POST /api/v2/users/auth0|1/roles":          ` `,
		"GET /api/v2/users/auth0|1/roles":           `{"start":0,"limit":50,"total":2,"roles":[{"id":"rol_editor"},{"id":"rol_old"}]}`,
		"DELETE /api/v2/users/auth0|1/roles":        ` `,
		"POST /api/v2/roles/rol_editor/permissions": ` `,
	})
	fmt.Println(migrateUserRoles(ctx, api, "auth0|1"))
	fmt.Println(migrateRolePermissions(ctx, api, "rol_editor"))
	// Output:
	// sent {"roles":["rol_editor"]}
	// sent {"roles":["rol_reader"]}
	// sent {"roles":["rol_old"]}
	// <nil>
	// sent {"permissions":[{"resource_server_identifier":"https://orders.example.com","permission_name":"read:orders"}]}
	// <nil>
}

func Example_migratingOrganizations() {
	ctx := context.Background()
	api := open(tenant{
		"POST /api/v2/organizations":                             `{"id":"org_1"}`,
		"POST /api/v2/organizations/org_1/members":               ` `,
		"POST /api/v2/organizations/org_1/members/auth0|1/roles": ` `,
		"POST /api/v2/organizations/org_1/invitations":           `{"id":"uinv_1","invitation_url":"https://shop.example.com/login?invitation=made-up"}`,
	})
	fmt.Println(migrateOrganization(ctx, api, "auth0|1"))
	fmt.Println(migrateInvitation(ctx, api, "org_1", "client-id"))
	// Output:
	// sent {"name":"acme","display_name":"Acme"}
	// sent {"members":["auth0|1"]}
	// sent {"roles":["rol_admin"]}
	// <nil>
	// sent {"inviter":{"name":"Ann"},"invitee":{"email":"bob@example.com"},"client_id":"client-id"}
	// https://shop.example.com/login?invitation=made-up <nil>
}

func Example_migratingApplications() {
	ctx := context.Background()
	api := open(tenant{
		"POST /api/v2/clients":                    `{"client_id":"c1","client_secret":"made-up","name":"Shop"}`,
		"GET /api/v2/clients/c1":                  `{"client_id":"c1","client_secret":"made-up","name":"Shop","callbacks":["https://shop.example.com/callback"]}`,
		"PATCH /api/v2/clients/c1":                `{"client_id":"c1"}`,
		"POST /api/v2/connections":                `{"id":"con_1"}`,
		"PATCH /api/v2/connections/con_1/clients": ` `,
		"POST /api/v2/client-grants":              `{"id":"cgr_1"}`,
		"POST /api/v2/resource-servers":           `{"id":"rs_1"}`,
	})
	application, err := migrateCreateClient(ctx, api)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(migrateUpdateClient(ctx, api, application.ClientID))
	fmt.Println(migrateConnection(ctx, api, application.ClientID))
	fmt.Println(migrateResourceServer(ctx, api))
	fmt.Println(migrateClientGrant(ctx, api, application.ClientID))
	// Output:
	// sent {"name":"Shop","callbacks":["https://shop.example.com/callback"],"app_type":"regular_web"}
	// sent {"name":"Shop","callbacks":["https://shop.example.com/callback","https://new.example.com/callback"]}
	// <nil>
	// sent {"name":"customers","strategy":"auth0","options":{"disable_signup":true}}
	// sent [{"client_id":"c1","status":true}]
	// <nil>
	// sent {"name":"Orders","identifier":"https://orders.example.com","scopes":[{"value":"read:orders","description":"Read orders"}]}
	// <nil>
	// sent {"client_id":"c1","audience":"https://orders.example.com","scope":["read:orders"]}
	// <nil>
}

func Example_migratingLogsAndJobs() {
	ctx := context.Background()
	api := open(tenant{"GET /api/v2/logs": `[{"log_id":"901","type":"s"},{"log_id":"902","type":"f"}]`})
	fmt.Println(migrateLogs(ctx, api, "900"))

	api = over(silent{
		"POST /api/v2/jobs/users-imports": `{"id":"job_1","status":"pending"}`,
		"GET /api/v2/jobs/job_1":          `{"id":"job_1","status":"completed","summary":{"inserted":1,"failed":1,"total":2},"location":"https://exports.example.com/job_1"}`,
		"GET /api/v2/jobs/job_1/errors":   `[{"user":{"email":"bob@example.com"},"errors":[{"code":"DUPLICATED_USER"}]}]`,
		"POST /api/v2/jobs/users-exports": `{"id":"job_1","status":"pending"}`,
	})
	fmt.Println(migrateImport(ctx, api, "con_1", []byte(`[{"email":"ann@example.com"},{"email":"bob@example.com"}]`)))
	fmt.Println(migrateExport(ctx, api, "con_1"))
	// Output:
	// 901 s
	// 902 f
	// 902 <nil>
	// completed 1 inserted, 1 failed
	// bob@example.com DUPLICATED_USER
	// <nil>
	// https://exports.example.com/job_1 <nil>
}

func Example_migratingPages() {
	api := over(paged{})
	fmt.Println(migratePages(context.Background(), api))
	fmt.Println(migrateRateLimit(context.Background(), api, "auth0|1"))
	// Output:
	// 2 of 3
	// Reader
	// <nil>
	// 49 of 50 left
	// <nil>
}

func Example_migratingTesting() {
	fmt.Println(migrateTesting())
	// Output:
	// 1 user
	// <nil>
}
