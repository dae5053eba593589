package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	v1 "github.com/auth0/go-auth0/management"
	v3 "github.com/auth0/go-auth0/v3/management"
	v3client "github.com/auth0/go-auth0/v3/management/client"
	"github.com/auth0/go-auth0/v3/management/option"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/ratelimit"
)

// importUsers creates the users with the command headroom, in a process of its
// own that knows the tenant from its environment.
func importUsers(ctx context.Context, b *Batch, s *server) (int, error) {
	dir, err := os.MkdirTemp("", "headroom-import-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var file strings.Builder
	for n := range b.Users {
		email, password := user(n)
		fmt.Fprintf(&file, `{"email":%q,"password":%q}`+"\n", email, password)
	}
	path := filepath.Join(dir, "users.ndjson")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, s.cmd.Path, "import", path, "--json", "--quiet", "--workers", fmt.Sprint(b.Workers))
	cmd.Env = s.environ()
	out, err := cmd.Output()
	var report struct{ Created int }
	if e := json.Unmarshal(out, &report); e != nil {
		return 0, fmt.Errorf("the report of headroom import: %w: %w", explain(err), e)
	}
	return report.Created, nil // status 1 says that users failed, which shows in the figures
}

// A creator returns a function that creates one user of a tenant.
type creator func(s *server, hc *http.Client) (func(ctx context.Context, email, password string) error, error)

// crowd creates the users with an SDK, in as many goroutines as the batch says.
func crowd(sdk creator, paced bool) func(context.Context, *Batch, *server) (int, error) {
	return func(ctx context.Context, b *Batch, s *server) (int, error) {
		network := &http.Transport{MaxIdleConnsPerHost: b.Workers}
		defer network.CloseIdleConnections()
		hc := &http.Client{Transport: network}
		if paced {
			p, err := ratelimit.Named(s.env[auth0.EnvPlan])
			if err != nil {
				return 0, err
			}
			hc.Transport = &auth0.Transport{Base: network, Plan: p}
		}
		create, err := sdk(s, hc)
		if err != nil {
			return 0, err
		}
		var next, created atomic.Int64
		var wg sync.WaitGroup
		for range b.Workers {
			wg.Go(func() {
				for n := int(next.Add(1)) - 1; n < b.Users; n = int(next.Add(1)) - 1 {
					email, password := user(n)
					if create(ctx, email, password) == nil {
						created.Add(1)
					}
				}
			})
		}
		wg.Wait()
		return int(created.Load()), ctx.Err()
	}
}

// createV1 uses the first generation of the official SDK with its defaults.
// WithInsecure makes it speak http, as the tenant does.
func createV1(s *server, hc *http.Client) (func(ctx context.Context, email, password string) error, error) {
	api, err := v1.New(s.env[auth0.EnvDomain], v1.WithInsecure(), v1.WithStaticToken(s.env[auth0.EnvToken]), v1.WithClient(hc))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, email, password string) error {
		return api.User.Create(ctx, &v1.User{Connection: new(auth0test.DefaultConnection), Email: &email, Password: &password})
	}, nil
}

// createV3 uses its third generation with its defaults.
func createV3(s *server, hc *http.Client) (func(ctx context.Context, email, password string) error, error) {
	api, err := v3client.New(s.env[auth0.EnvDomain], option.WithBaseURL(s.env[auth0.EnvDomain]+"/api/v2"),
		option.WithToken(s.env[auth0.EnvToken]), option.WithHTTPClient(hc))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, email, password string) error {
		_, err := api.Users.Create(ctx, &v3.CreateUserRequestContent{Connection: auth0test.DefaultConnection, Email: &email, Password: &password})
		return err
	}, nil
}
