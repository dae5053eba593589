package management_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/management"
)

// tenant answers the requests of the examples, so that they run without a network.
type tenant map[string]string

func (t tenant) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, status := t[r.Method+" "+r.URL.Path], http.StatusOK
	if answer == "" {
		answer, status = `{"statusCode":404,"error":"Not Found","message":"The user does not exist.","errorCode":"inexistent_user"}`, http.StatusNotFound
	}
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if len(b) > 0 {
			fmt.Println("sent", string(b))
		}
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

func open(answers tenant) *management.API {
	client, err := auth0.New("example.eu.auth0.com", auth0.WithToken("token"), auth0.WithPlan("enterprise"), auth0.WithHTTPClient(&http.Client{Transport: answers}))
	if err != nil {
		panic(err)
	}
	return management.New(client)
}

func ExampleNew() {
	client, err := auth0.New("example.eu.auth0.com", auth0.WithToken("token"))
	if err != nil {
		fmt.Println(err)
		return
	}
	api := management.New(client)
	// Groups are nested as in the reference: api.Users, api.Users.Roles, api.Organizations.Members.Roles.
	fmt.Printf("%T %T\n", &api.Users, &api.Organizations.Members.Roles)
	// Output: *management.UsersService *management.OrganizationMemberRolesService
}

func ExampleUsersService_Get() {
	api := open(tenant{"GET /api/v2/users/auth0|1": `{"user_id":"auth0|1","email":"ann@example.com","user_metadata":{"theme":"dark"}}`})
	user, err := api.Users.Get(context.Background(), "auth0|1", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(user.Email, user.UserMetadata["theme"])

	_, err = api.Users.Get(context.Background(), "auth0|2", nil)
	fmt.Println(errors.Is(err, auth0.ErrNotFound))
	// Output:
	// ann@example.com dark
	// true
}

func ExampleUsersService_Update() {
	api := open(tenant{"PATCH /api/v2/users/auth0|1": `{"user_id":"auth0|1"}`})
	_, err := api.Users.Update(context.Background(), "auth0|1", management.UserUpdate{
		Blocked:  new(false),                  // set to false: not the same as left out
		Nickname: auth0.NullValue[string](),   // cleared
		Name:     auth0.NullOf("Ann Example"), // set
	})
	fmt.Println(err)
	// Output:
	// sent {"blocked":false,"name":"Ann Example","nickname":null}
	// <nil>
}

func ExampleUsersService_All() {
	api := open(tenant{"GET /api/v2/users": `{"start":0,"limit":100,"total":2,"users":[{"user_id":"auth0|1"},{"user_id":"auth0|2"}]}`})
	search := management.Where("email").HasPrefix("ann").And(management.Where("app_metadata.plan").Is("gold"))
	for user, err := range api.Users.All(context.Background(), &management.UserListParams{Query: string(search)}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(user.UserID)
	}
	// Output:
	// auth0|1
	// auth0|2
}

func ExampleConnectionsService_Create() {
	api := open(tenant{"POST /api/v2/connections": `{"id":"con_1","name":"customers","strategy":"auth0","options":{"disable_signup":true}}`})
	connection, err := api.Connections.Create(context.Background(), management.ConnectionCreate{
		Name:     "customers",
		Strategy: "auth0",
		Options:  &management.ConnectionOptions{Auth0: &management.ConnectionOptionsAuth0{DisableSignup: new(true)}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(connection.ID, *connection.Options.Auth0.DisableSignup)
	// Output:
	// sent {"name":"customers","strategy":"auth0","options":{"disable_signup":true}}
	// con_1 true
}

func ExampleConnection_ToUpdate() {
	var connection management.Connection
	if err := json.Unmarshal([]byte(`{"id":"con_1","strategy":"auth0","options":{"import_mode":true,"disable_signup":false}}`), &connection); err != nil {
		fmt.Println(err)
		return
	}
	// The API replaces the options of a connection as a whole. ToUpdate starts from all of them.
	connection.Options.Auth0.DisableSignup = new(true)
	body, err := json.Marshal(connection.ToUpdate())
	fmt.Println(string(body), err)
	// Output: {"options":{"disable_signup":true,"import_mode":true}} <nil>
}

func ExampleWhere() {
	fmt.Println(management.Where("email").Is(`o"neil@example.com`).Or(management.Where("logins_count").Between("1", "*")))
	// Output: (email:"o\"neil@example.com" OR logins_count:["1" TO *])
}
