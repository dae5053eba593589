// Package batch creates users in a simulated tenant that runs in a process of its
// own and enforces a published plan in real time: with the command headroom,
// and with the official SDK over auth0.Transport and without it.
package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// A Batch is one way of creating a number of users.
type Batch struct {
	Client  string // who creates them
	Server  string // what is special about the tenant, "" for nothing
	Users   int
	Workers int
	// Tenant are further arguments of headroom tenant.
	Tenant []string
	// Create creates the users and returns how many of them it was told of as
	// created. Users that it gives up are no error.
	Create func(ctx context.Context, b *Batch, s *server) (created int, err error)
}

// A Result is what came of a batch.
type Result struct {
	Batch
	Created  int           // users that the client was told of as created
	Lost     int           // users that the tenant does not have in the end
	Doubled  int           // users that the tenant created more often than once
	Rejected int64         // requests that the tenant turned back
	Used     float64       // share of what the Management API bucket allowed
	Elapsed  time.Duration // from the first request that arrived to the last
}

// The server of every batch: plan enterprise has 50 burst at 16 a second for
// the Management API, and nothing narrower for creating users.
const (
	plan    = "enterprise"
	bucket  = "Management API"
	latency = "40ms"
	jitter  = "20ms"
)

// limit bounds one batch in time, so that nothing outlives a run that hangs.
const limit = 3 * time.Minute

// Ours returns the batches that the project is held to.
func Ours() []Batch {
	command := Batch{Client: "headroom import", Users: 400, Workers: 32, Create: importUsers}
	hundred, lossy, shared := command, command, command
	hundred.Workers = 100
	lossy.Server, lossy.Tenant = "5 % of the connections break", []string{"--lost", "5%"}
	shared.Server, shared.Tenant = "another consumer takes 8 a second", []string{"--consumer", "8/s"}
	return []Batch{command, hundred, lossy, shared}
}

// Peers returns the same batch by the official SDK, both its generations, each
// as it is and with nothing changed but the transport of its http.Client.
func Peers() []Batch {
	b := Batch{Users: 400, Workers: 32}
	var batches []Batch
	for _, sdk := range []struct {
		name   string
		create creator
	}{{"go-auth0 v1.45.0", createV1}, {"go-auth0 v3.0.0", createV3}} {
		bare, paced := b, b
		bare.Client, bare.Create = sdk.name, crowd(sdk.create, false)
		paced.Client, paced.Create = sdk.name+over, crowd(sdk.create, true)
		batches = append(batches, bare, paced)
	}
	return batches
}

// over ends the names of clients that are paced by our transport.
const over = " over auth0.Transport"

// Run runs all batches at the same time, each against a tenant of its own. The
// results are in the order of the batches.
func Run(ctx context.Context, batches []Batch) ([]Result, error) {
	dir, err := os.MkdirTemp("", "headroom-batch-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	headroom, err := build(ctx, dir)
	if err != nil {
		return nil, err
	}
	results, errs := make([]Result, len(batches)), make([]error, len(batches))
	var wg sync.WaitGroup
	for i, b := range batches {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			results[i], errs[i] = b.run(ctx, headroom)
		})
	}
	wg.Wait()
	return results, errors.Join(errs...)
}

func (b *Batch) run(ctx context.Context, headroom string) (r Result, err error) {
	r.Batch = *b
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s, %d workers, %s: %w", b.Client, b.Workers, b.server(), err)
		}
	}()
	args := append([]string{"--plan", plan, "--latency", latency, "--jitter", jitter}, b.Tenant...)
	s, err := start(ctx, headroom, args...)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if r.Created, err = b.Create(ctx, b, s); err != nil {
		return r, err
	}
	report, err := s.report(ctx)
	if err != nil {
		return r, err
	}
	r.Lost = b.Users - report.Users
	r.Doubled = int(report.ByStatus[201]) - report.Users
	r.Rejected = report.Rejected
	r.Elapsed = report.Last.Sub(report.First)
	if used := report.Bucket(bucket); used != nil {
		r.Used = used.Used
	}
	return r, nil
}

func (b *Batch) server() string {
	if b.Server == "" {
		return "nothing more"
	}
	return b.Server
}

// user is the nth user of a batch; the address is what tells users apart.
func user(n int) (email, password string) {
	return fmt.Sprintf("user%04d@example.com", n), fmt.Sprintf("Made-up-%04d", n)
}

// Print writes the results as a table in Markdown.
func Print(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 8, 1, ' ', 0)
	row := func(cells ...any) {
		text := make([]string, len(cells))
		for i, c := range cells {
			text[i] = fmt.Sprint(c)
		}
		_, _ = fmt.Fprintf(t, "| %s\t|\n", strings.Join(text, "\t| "))
	}
	row("client", "workers", "the server, beside 50 burst at 16 a second", "users", "created", "lost", "doubled", "rejections", "allowance used", "time")
	row("---", "---", "---", "---", "---", "---", "---", "---", "---", "---")
	for _, r := range results {
		row(r.Client, r.Workers, r.server(), r.Users, r.Created, r.Lost, r.Doubled, r.Rejected,
			fmt.Sprintf("%.1f %%", float64(int(r.Used*1000))/10), fmt.Sprintf("%.1f s", r.Elapsed.Seconds()))
	}
	return t.Flush()
}
