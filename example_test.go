package auth0_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/ratelimit"
)

// exampleTenant answers the few requests that the examples send.
func exampleTenant() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Ratelimit-Limit", "50")
		w.Header().Set("X-Ratelimit-Remaining", "49")
		switch r.Method + " " + r.URL.Path {
		case "POST /oauth/token":
			_, _ = io.WriteString(w, `{"access_token":"token","expires_in":86400}`)
		case "GET /api/v2/users/auth0|1":
			_, _ = io.WriteString(w, `{"user_id":"auth0|1","name":"Ada"}`)
		case "GET /api/v2/users":
			_, _ = io.WriteString(w, `{"start":0,"limit":50,"total":2,"users":[{"name":"Ada"},{"name":"Grace"}]}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"statusCode":404,"error":"Not Found","message":"The user does not exist.","errorCode":"inexistent_user"}`)
		}
	}))
}

type user struct {
	ID   string `json:"user_id"`
	Name string `json:"name"`
}

func ExampleNew() {
	tenant := exampleTenant() // in place of "example.eu.auth0.com"
	defer tenant.Close()

	client, err := auth0.New(tenant.URL,
		auth0.WithClientSecret("client-id", "client-secret"),
		auth0.WithPlan("enterprise"),
		auth0.WithReserve(0.2)) // a fifth of each limit is left to others
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	u, err := auth0.Call[user](context.Background(), client, "GET", "/api/v2/users/{id}", []string{"auth0|1"}, nil, nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(u.Name)
	// Output: Ada
}

func ExampleCall() {
	tenant := exampleTenant()
	defer tenant.Close()
	client, err := auth0.New(tenant.URL, auth0.WithToken("token"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()

	var meta auth0.Meta
	_, err = auth0.Call[user](context.Background(), client, "GET", "/api/v2/users/{id}", []string{"auth0|2"}, nil, nil,
		[]auth0.RequestOption{auth0.Priority(ratelimit.PriorityInteractive), auth0.Capture(&meta)})
	if errors.Is(err, auth0.ErrNotFound) {
		fmt.Println(err)
	}
	fmt.Println(meta.Status, meta.RateLimit.Remaining, "of", meta.RateLimit.Limit)
	// Output:
	// auth0: GET /api/v2/users/{id}: 404 inexistent_user: The user does not exist.
	// 404 49 of 50
}

func ExampleAll() {
	tenant := exampleTenant()
	defer tenant.Close()
	client, err := auth0.New(tenant.URL, auth0.WithToken("token"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()

	paging := auth0.Paging{Items: "users", Offset: true, Totals: true}
	for u, err := range auth0.All[user](context.Background(), client, "/api/v2/users", nil, nil, paging, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(u.Name)
	}
	// Output:
	// Ada
	// Grace
}

// Any HTTP client is paced by putting a Transport under it.
func ExampleTransport() {
	tenant := exampleTenant()
	defer tenant.Close()

	transport := &auth0.Transport{}
	client := &http.Client{Transport: transport}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, tenant.URL+"/api/v2/users", nil)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	info, _ := auth0.RateLimitFrom(resp)
	fmt.Println(resp.StatusCode, info.Remaining, "left, rejected:", info.Rejected)
	client.CloseIdleConnections()
	// Output: 200 49 left, rejected: false
}

// A context carries how the throttle is to treat requests of any HTTP client.
func ExampleWithAdmission() {
	tenant := exampleTenant()
	defer tenant.Close()

	client := &http.Client{Transport: &auth0.Transport{}}
	defer client.CloseIdleConnections()
	ctx := auth0.WithAdmission(context.Background(), auth0.Admission{Priority: ratelimit.PriorityBatch, Flow: "nightly"})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, tenant.URL+"/api/v2/users", nil)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	_ = resp.Body.Close()
	fmt.Println(resp.StatusCode)
	// Output: 200
}

func ExampleWithTokenSource() {
	tenant := exampleTenant()
	defer tenant.Close()
	vault := auth0.TokenSourceFunc(func(context.Context) (auth0.Token, error) {
		return auth0.Token{AccessToken: "from the vault"}, nil
	})
	client, err := auth0.New(tenant.URL, auth0.WithTokenSource(vault))
	if err != nil {
		log.Fatal(err)
	}
	token, err := client.Token(context.Background())
	fmt.Println(token, err)
	// Output: auth0.Token[redacted] <nil>
}

func ExampleNull() {
	type userUpdate struct {
		Name    *string            `json:"name,omitempty"`
		Picture auth0.Null[string] `json:"picture,omitzero"`
	}
	for _, u := range []userUpdate{
		{Name: new("Ada")},
		{Picture: auth0.NullOf("https://example.com/ada.png")},
		{Picture: auth0.NullValue[string]()}, // clears the picture
	} {
		b, err := json.Marshal(u)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(b))
	}
	// Output:
	// {"name":"Ada"}
	// {"picture":"https://example.com/ada.png"}
	// {"picture":null}
}

func ExampleQueryOf() {
	type listParams struct {
		Fields  []string `url:"fields,omitempty"`
		PerPage int      `url:"per_page,omitempty"`
		Global  *bool    `url:"is_global,omitempty"`
	}
	q, err := auth0.QueryOf(&listParams{Fields: []string{"name", "email"}, Global: new(false)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(q.Encode())
	// Output: fields=name%2Cemail&is_global=false
}

func ExampleMultipart() {
	tenant := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.FormValue("upsert"), r.FormValue("connection_id"))
		_, _ = io.WriteString(w, `{"id":"job_1","status":"pending"}`)
	}))
	defer tenant.Close()
	client, err := auth0.New(tenant.URL, auth0.WithToken("token"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	form := (&auth0.Multipart{}).
		File("users", "users.json", "application/json", []byte(`[{"email":"ada@example.com"}]`)).
		Field("connection_id", "con_1").
		Field("upsert", "true")
	job, err := auth0.Call[struct {
		ID string `json:"id"`
	}](context.Background(), client, "POST", "/api/v2/jobs/users-imports", nil, nil, form, nil)
	fmt.Println(job.ID, err)
	// Output:
	// true con_1
	// job_1 <nil>
}

func ExampleClient_Do() {
	tenant := exampleTenant()
	defer tenant.Close()
	client, err := auth0.New(tenant.URL, auth0.WithToken("token"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(context.Background(), "GET", "/api/v2/users", nil, url.Values{"page": {"0"}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, resp.Body)
	fmt.Println(n, err)
	// Output: 74 <nil>
}

func ExampleDecode() {
	var users []struct {
		ID     string `json:"user_id"`
		Logins int    `json:"logins_count"`
	}
	err := auth0.Decode([]byte(`[{"user_id":"auth0|1","logins_count":3},{"user_id":"auth0|2","logins_count":"many"}]`), &users)
	if partial, ok := errors.AsType[*auth0.PartialError](err); ok {
		fmt.Println(partial.Mismatches[0])
		err = nil // what fits is there
	}
	fmt.Println(users, err)
	// Output:
	// [1].logins_count: string in place of int
	// [{auth0|1 3} {auth0|2 0}] <nil>
}
