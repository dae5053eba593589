package management_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/management"
)

// simulate opens a tenant in memory, which keeps what it is told and enforces the
// limits of a plan. A program of one's own leaves WithHTTPClient out.
func simulate() (*management.API, *auth0test.Tenant) {
	simulated := auth0test.MustNew(auth0test.Options{PlanName: "enterprise", AnyToken: true})
	client, err := auth0.New(auth0test.DefaultDomain, auth0.WithToken("any"), auth0.WithPlan("enterprise"), auth0.WithHTTPClient(simulated.Client()))
	if err != nil {
		panic(err)
	}
	return management.New(client), simulated
}

// must returns a value where an example has nothing to say about errors.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// ann makes the user of the examples.
func ann(ctx context.Context, api *management.API) *management.User {
	return must(api.Users.Create(ctx, management.UserCreate{
		Connection: auth0test.DefaultConnection, Email: new("ann@example.com"), Name: new("Ann"), Password: new("made-up"),
	}))
}

// A user is made, changed, found and deleted.
func ExampleUsersService() {
	ctx := context.Background()
	api, _ := simulate()
	user, err := api.Users.Create(ctx, management.UserCreate{
		Connection: auth0test.DefaultConnection, Email: new("ann@example.com"), Password: new("made-up"),
		UserMetadata: map[string]any{"theme": "dark", "beta": true},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Metadata is merged: a name set to nil goes, those left out stay.
	user, err = api.Users.Update(ctx, user.UserID, management.UserUpdate{Name: auth0.NullOf("Ann"), UserMetadata: map[string]any{"beta": nil}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(user.Name, user.UserMetadata)

	search := management.Where("email").HasPrefix("ann").And(management.Where("user_metadata.theme").Is("dark"))
	for found, err := range api.Users.All(ctx, &management.UserListParams{Query: string(search)}) {
		fmt.Println(found.Email, err)
	}
	if err := api.Users.Delete(ctx, user.UserID); err != nil {
		fmt.Println(err)
	}
	_, err = api.Users.Get(ctx, user.UserID, nil)
	fmt.Println(errors.Is(err, auth0.ErrNotFound))
	// Output:
	// Ann map[theme:dark]
	// ann@example.com <nil>
	// true
}

// Walk goes on where paging ends, at 1,000 users.
func ExampleUsersService_Walk() {
	ctx := context.Background()
	api, _ := simulate()
	ann(ctx, api)
	count := 0
	for _, err := range api.Users.Walk(ctx, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		count++
	}
	fmt.Println(count, "user")
	// Output: 1 user
}

// An account becomes an identity of another one, and an account again.
func ExampleUserIdentitiesService_Link() {
	ctx := context.Background()
	api, _ := simulate()
	user := ann(ctx, api)
	must(api.Users.Create(ctx, management.UserCreate{
		Connection: auth0test.DefaultConnection, Email: new("ann@work.example.com"), Password: new("made-up"), UserID: new("work"),
	}))
	identities, err := api.Users.Identities.Link(ctx, user.UserID, management.UserIdentityLink{
		Provider: new(management.IdentityProvider("auth0")), UserID: new(management.Text("work")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(identities), identities[1].ProfileData.Email)
	identities, err = api.Users.Identities.Delete(ctx, user.UserID, "auth0", "work")
	fmt.Println(len(identities), err)
	// Output:
	// 2 ann@work.example.com
	// 1 <nil>
}

// A role gets permissions of an API, and a user gets the role.
func ExampleRolesService() {
	ctx := context.Background()
	api, _ := simulate()
	const identifier = "https://api.example.com"
	must(api.ResourceServers.Create(ctx, management.ResourceServerCreate{
		Identifier: identifier, Scopes: []management.ResourceServerScope{{Value: "read:orders"}, {Value: "cancel:orders"}},
	}))
	role, err := api.Roles.Create(ctx, management.RoleCreate{Name: "support", Description: new("Looks after orders")})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = api.Roles.Permissions.Add(ctx, role.ID, management.PermissionList{Permissions: []management.Permission{
		{ResourceServerIdentifier: identifier, PermissionName: "read:orders"},
		{ResourceServerIdentifier: identifier, PermissionName: "cancel:orders"},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	user := ann(ctx, api)
	if err := api.Users.Roles.Assign(ctx, user.UserID, management.RoleIDs{Roles: []string{role.ID}}); err != nil {
		fmt.Println(err)
		return
	}
	for permission, err := range api.Users.Permissions.All(ctx, user.UserID, nil) {
		fmt.Println(permission.PermissionName, err)
	}
	for member, err := range api.Roles.Users.All(ctx, role.ID, nil) {
		fmt.Println(member.Email, err)
	}
	// Output:
	// read:orders <nil>
	// cancel:orders <nil>
	// ann@example.com <nil>
}

// An organization gets a member, and the member a role in it.
func ExampleOrganizationsService() {
	ctx := context.Background()
	api, _ := simulate()
	user := ann(ctx, api)
	role := must(api.Roles.Create(ctx, management.RoleCreate{Name: "admin"}))
	organization, err := api.Organizations.Create(ctx, management.OrganizationCreate{Name: "acme", DisplayName: new("Acme")})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := api.Organizations.Members.Create(ctx, organization.ID, management.OrganizationMemberIDs{Members: []string{user.UserID}}); err != nil {
		fmt.Println(err)
		return
	}
	if err := api.Organizations.Members.Roles.Assign(ctx, organization.ID, user.UserID, management.RoleIDs{Roles: []string{role.ID}}); err != nil {
		fmt.Println(err)
		return
	}
	for member, err := range api.Organizations.Members.All(ctx, organization.ID, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for role, err := range api.Organizations.Members.Roles.All(ctx, organization.ID, member.UserID, nil) {
			fmt.Println(member.Name, "is", role.Name, err)
		}
	}
	organization, err = api.Organizations.GetByName(ctx, "acme")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(organization.DisplayName)
	// Output:
	// Ann is admin <nil>
	// Acme
}

// An application is made, allowed to call an API, and given a new secret.
func ExampleClientsService() {
	ctx := context.Background()
	api, _ := simulate()
	must(api.ResourceServers.Create(ctx, management.ResourceServerCreate{Identifier: "https://api.example.com", Scopes: []management.ResourceServerScope{{Value: "read:orders"}}}))
	application, err := api.Clients.Create(ctx, management.ClientCreate{Name: "Nightly job", AppType: new(management.ClientAppType("non_interactive"))})
	if err != nil {
		fmt.Println(err)
		return
	}
	grant, err := api.ClientGrants.Create(ctx, management.ClientGrantCreate{
		ClientID: &application.ClientID, Audience: "https://api.example.com", Scope: []string{"read:orders"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(grant.Audience, grant.Scope)

	rotated, err := api.Clients.RotateSecret(ctx, application.ClientID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rotated.ClientSecret != application.ClientSecret)

	// What an update leaves out stays.
	updated, err := api.Clients.Update(ctx, application.ClientID, management.ClientUpdate{Description: new("Runs at night")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(updated.Name+":", updated.Description)
	// Output:
	// https://api.example.com [read:orders]
	// true
	// Nightly job: Runs at night
}

// A connection is enabled for an application.
func ExampleConnectionsService() {
	ctx := context.Background()
	api, _ := simulate()
	application := must(api.Clients.Create(ctx, management.ClientCreate{Name: "Shop"}))
	connection, err := api.Connections.Create(ctx, management.ConnectionCreate{
		Name: "customers", Strategy: "auth0",
		Options: &management.ConnectionOptions{Auth0: &management.ConnectionOptionsAuth0{DisableSignup: new(true)}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = api.Connections.Clients.Update(ctx, connection.ID, []management.ConnectionClientUpdate{{ClientID: application.ClientID, Status: true}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for enabled, err := range api.Connections.Clients.All(ctx, connection.ID, nil) {
		fmt.Println(enabled.ClientID == application.ClientID, err)
	}
	for found, err := range api.Connections.All(ctx, &management.ConnectionListParams{Name: "customers"}) {
		fmt.Println(found.Name, *found.Options.Auth0.DisableSignup, err)
	}
	_, err = api.Connections.Create(ctx, management.ConnectionCreate{Name: "customers", Strategy: "auth0"})
	fmt.Println(errors.Is(err, auth0.ErrConflict))
	// Output:
	// true <nil>
	// customers true <nil>
	// true
}

// The log is read from an entry on, oldest first, as a log shipper does.
func ExampleLogsService() {
	ctx := context.Background()
	api, _ := simulate()
	user := ann(ctx, api)
	page, err := api.Logs.List(ctx, &management.LogListParams{Take: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, entry := range page.Items {
		fmt.Println(entry.Type, entry.Description)
	}
	last := page.Items[len(page.Items)-1].LogID // to be kept until the next run

	must(api.Users.Update(ctx, user.UserID, management.UserUpdate{Blocked: new(true)}))
	for entry, err := range api.Logs.All(ctx, &management.LogListParams{From: last, Take: 100}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(entry.Type, entry.Description, entry.UserID == user.UserID)
	}
	// Output:
	// sapi POST /users
	// sapi PATCH /users/{id} true
}

// Users are imported from a file, and exported into one.
func ExampleJobsService_Wait() {
	ctx := context.Background()
	api, simulated := simulate()
	connections := must(api.Connections.List(ctx, &management.ConnectionListParams{Name: auth0test.DefaultConnection}))
	job, err := api.Jobs.UsersImports.Create(ctx, management.JobUsersImportCreate{
		ConnectionID: connections.Items[0].ID,
		Users:        []byte(`[{"email":"ann@example.com"},{"email":"bob@example.com"},{"email":"no address"}]`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if job, err = api.Jobs.Wait(ctx, job.ID); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(job.Status, job.Summary.Inserted, "in,", job.Summary.Failed, "failed")
	failed, err := api.Jobs.Errors.Get(ctx, job.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, user := range failed.Users {
		fmt.Println(user.User["email"], user.Errors[0].Code)
	}

	job, err = api.Jobs.UsersExports.Create(ctx, management.JobUsersExportCreate{
		Format: new(management.JobFileFormat("csv")), Fields: []management.JobUsersExportField{{Name: "email"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if job, err = api.Jobs.Wait(ctx, job.ID); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(download(ctx, simulated.Client(), job.Location)))
	// Output:
	// completed 2 in, 1 failed
	// no address FORMAT
	// email
	// ann@example.com
	// bob@example.com
}

// download fetches the file of an export. The link needs no token.
func download(ctx context.Context, client *http.Client, link string) []byte {
	response, err := client.Do(must(http.NewRequestWithContext(ctx, http.MethodGet, link, nil)))
	if err != nil {
		panic(err)
	}
	defer func() { _ = response.Body.Close() }()
	return must(io.ReadAll(must(gzip.NewReader(response.Body))))
}

// Every entry of a list, whatever the number of pages.
func ExampleResourceServersService_All() {
	ctx := context.Background()
	api, _ := simulate()
	for _, name := range []string{"orders", "stock"} {
		must(api.ResourceServers.Create(ctx, management.ResourceServerCreate{Identifier: "https://" + name + ".example.com", Name: &name}))
	}
	var names []string
	for server, err := range api.ResourceServers.All(ctx, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if !server.IsSystem {
			names = append(names, server.Name)
		}
	}
	fmt.Println(slices.Sorted(slices.Values(names)))
	// Output: [orders stock]
}
