package auth0test_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/authentication"
	"github.com/headroom-go/auth0/ratelimit"
	"github.com/jarcoal/httpmock"
)

// call makes a request and prints what matters here.
func call(client *http.Client, method, path, body string) {
	req, err := http.NewRequestWithContext(context.Background(), method, "https://"+auth0test.DefaultDomain+path, strings.NewReader(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		fmt.Printf("%s %s: connection reset: %v\n", method, path, errors.Is(err, syscall.ECONNRESET))
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		fmt.Println(err)
	}
	left := ""
	if n := resp.Header.Get("X-Ratelimit-Remaining"); n != "" {
		left = ", left " + n
	}
	fmt.Printf("%s %s: %d%s\n", method, path, resp.StatusCode, left)
}

// A tenant stands as the Transport of an http.Client and enforces a plan.
func Example() {
	tenant, err := auth0test.New(auth0test.Options{
		Plan: &ratelimit.Plan{Name: "mine", Buckets: []ratelimit.Bucket{{
			Name: "Management API", API: "management", Role: ratelimit.RoleGlobal,
			Burst: 2, Rate: ratelimit.Rate{Count: 1, Per: time.Hour},
			Matches: []ratelimit.Match{{Method: "*", Path: "/api/v2/*"}},
		}}},
		AnyToken: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := tenant.Client()
	user := `{"connection":"Username-Password-Authentication","email":"ada@example.com","password":"made-up"}`
	call(client, "POST", "/api/v2/users", user)
	call(client, "POST", "/api/v2/users", user)
	call(client, "GET", "/api/v2/users", "")
	report := tenant.Report()
	fmt.Println(report.Users, "user,", report.Rejected, "rejected,", report.Bucket("Management API").Used, "of the allowance used")
	// Output:
	// POST /api/v2/users: 201, left 1
	// POST /api/v2/users: 409, left 0
	// GET /api/v2/users: 429, left 0
	// 1 user, 1 rejected, 1 of the allowance used
}

// A published plan is chosen by its name.
func ExampleNew() {
	tenant, err := auth0test.New(auth0test.Options{PlanName: "free", AnyToken: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		call(tenant.Client(), "GET", "/api/v2/users", "")
	}
	// Output:
	// GET /api/v2/users: 200, left 1
	// GET /api/v2/users: 200, left 0
	// GET /api/v2/users: 429, left 0
}

// Time is whatever the clock says: here one that is moved by hand. Within
// testing/synctest none is needed, as the time there is the bubble's.
func ExampleTenant_RoundTrip() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	tenant := auth0test.MustNew(auth0test.Options{
		Plan: &ratelimit.Plan{Buckets: []ratelimit.Bucket{{
			Name: "users", Burst: 1, Rate: ratelimit.Rate{Count: 6, Per: time.Minute},
			Matches: []ratelimit.Match{{Method: "GET", Path: "/api/v2/users"}},
		}}},
		AnyToken: true,
		Clock:    func() time.Time { return now },
	})
	call(tenant.Client(), "GET", "/api/v2/users", "")
	call(tenant.Client(), "GET", "/api/v2/users", "")
	now = now.Add(10 * time.Second)
	call(tenant.Client(), "GET", "/api/v2/users", "")
	// Output:
	// GET /api/v2/users: 200, left 0
	// GET /api/v2/users: 429, left 0
	// GET /api/v2/users: 200, left 0
}

// A test stubs single calls and leaves the rest to the tenant.
func ExampleTenant_Responder() {
	tenant := auth0test.MustNew(auth0test.Options{AnyToken: true})
	mock := httpmock.NewMockTransport()
	mock.RegisterNoResponder(tenant.Responder())
	mock.RegisterResponder("GET", `=~/api/v2/roles\z`, auth0test.JSON(200, []string{}))
	client := &http.Client{Transport: mock}

	call(client, "GET", "/api/v2/roles", "")
	call(client, "POST", "/api/v2/users", `{"connection":"Username-Password-Authentication","email":"ada@example.com","password":"made-up"}`)
	fmt.Println(tenant.Report().Users, "user")
	// Output:
	// GET /api/v2/roles: 200
	// POST /api/v2/users: 201
	// 1 user
}

// A rejection in any of the published forms, also the one that is no 429.
func ExampleRateLimited() {
	mock := httpmock.NewMockTransport()
	for _, path := range []string{"/api/v2/users", "/userinfo", "/abc/trust/usernamemixed"} {
		mock.RegisterResponder("POST", `=~`+path, auth0test.RateLimited(auth0test.FormOf(path), auth0test.Headers{Limit: 10}))
		call(&http.Client{Transport: mock}, "POST", path, "")
	}
	// Output:
	// POST /api/v2/users: 429, left 0
	// POST /userinfo: 429, left 0
	// POST /abc/trust/usernamemixed: 500, left 0
}

// Faults are reproducible: the seed decides what befalls a request.
func ExampleFaults() {
	tenant := auth0test.MustNew(auth0test.Options{Seed: 5, AnyToken: true, Faults: auth0test.Faults{LoseAnswer: 0.5}})
	user := func(n int) string {
		return fmt.Sprintf(`{"connection":"Username-Password-Authentication","email":"u%d@example.com","password":"made-up"}`, n)
	}
	for n := range 4 {
		call(tenant.Client(), "POST", "/api/v2/users", user(n))
	}
	fmt.Println(tenant.Report().Users, "users, whatever their creator was told")
	// Output:
	// POST /api/v2/users: 201
	// POST /api/v2/users: connection reset: true
	// POST /api/v2/users: connection reset: true
	// POST /api/v2/users: connection reset: true
	// 4 users, whatever their creator was told
}

// A person logs in to a web application; the application exchanges the code.
func ExampleTenant_Login() {
	const callback = "https://app.example.com/callback"
	tenant := auth0test.MustNew(auth0test.Options{
		Clients: []auth0test.Client{{ID: "web", Secret: "made-up", Callbacks: []string{callback}}},
		Users:   []auth0test.User{{ID: "ada", Email: "ada@example.com", Password: "made-up-too"}},
	})
	client, err := auth0.New(tenant.Domain(), auth0.WithHTTPClient(tenant.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	api := authentication.New(client, authentication.ClientSecretPost("web", "made-up"))
	login := authentication.NewLogin(authentication.Authorize{RedirectURI: callback, Scope: "openid email"})
	back, err := tenant.Login(api.OAuth.AuthorizeURL(&login.Authorize), "ada@example.com", "made-up-too")
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := api.OAuth.FinishLogin(context.Background(), login, back.Query())
	if err != nil {
		fmt.Println(err)
		return
	}
	user, err := api.OAuth.UserInfo(context.Background(), tokens.AccessToken)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(user.Subject, user.Email)
	// Output:
	// auth0|ada ada@example.com
}

// A person types the code that a device shows.
func ExampleTenant_Approve() {
	tenant := auth0test.MustNew(auth0test.Options{
		Clients: []auth0test.Client{{ID: "tv", Public: true}},
		Users:   []auth0test.User{{ID: "ada", Email: "ada@example.com"}},
	})
	client, err := auth0.New(tenant.Domain(), auth0.WithHTTPClient(tenant.Client()))
	if err != nil {
		fmt.Println(err)
		return
	}
	api := authentication.New(client, authentication.None("tv"))
	code, err := api.Device.Authorize(context.Background(), &authentication.DeviceAuthorize{Scope: "openid"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = api.Device.Token(context.Background(), code.DeviceCode)
	fmt.Println(authentication.CodeOf(err))
	fmt.Println(tenant.Approve(code.UserCode, "ada@example.com"))
	// Output:
	// authorization_pending
	// <nil>
}

// What an authenticator app shows, for a secret of RFC 6238.
func ExampleTOTP() {
	code, err := auth0test.TOTP("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", time.Unix(59, 0))
	fmt.Println(code, err)
	// Output: 287082 <nil>
}
