// Command weblogin is a small web site with a login, made of net/http and this
// module: what authentication.NewLogin, FinishLogin and Verifier look like in use.
//
// Against a tenant of one's own, with an application of the kind Regular Web
// Application that has http://127.0.0.1:3000/callback among its allowed callback
// URLs and http://127.0.0.1:3000/ among its allowed logout URLs:
//
//	export AUTH0_DOMAIN=example.eu.auth0.com AUTH0_CLIENT_ID=... AUTH0_CLIENT_SECRET=...
//	go run ./examples/weblogin
//
// Against a simulated tenant, which needs nothing:
//
//	go run ./examples/weblogin -local
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/authentication"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "weblogin:", err)
		os.Exit(1)
	}
}

// run serves the site until ctx ends.
func run(ctx context.Context, args []string, env func(string) string, out io.Writer) error {
	flags := flag.NewFlagSet("weblogin", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:3000", "`address` to listen on")
	base := flags.String("url", "", "the `URL` of the site for browsers, where it is not http://ADDRESS")
	simulate := flags.Bool("local", false, "log in to a simulated tenant in place of a real one")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	if *base == "" {
		*base = "http://" + listener.Addr().String()
	}
	*base = strings.TrimSuffix(*base, "/")

	app := application{domain: env("AUTH0_DOMAIN"), clientID: env("AUTH0_CLIENT_ID"), secret: env("AUTH0_CLIENT_SECRET")}
	if *simulate {
		tenant, err := startTenant(ctx, *base)
		if err != nil {
			return err
		}
		defer func() { cancel(); tenant.wait() }()
		app = tenant.application
		if _, err := fmt.Fprintf(out, "The simulated tenant knows %s with the password %s\n", localUser, localPassword); err != nil {
			return err
		}
	}
	client, handler, err := newSite(app, *base)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	if _, err := fmt.Fprintf(out, "Serving %s/ on %s\n", *base, listener.Addr()); err != nil {
		return err
	}
	return serve(ctx, listener, handler)
}

// application is the application that the site logs its users in as.
type application struct {
	domain, clientID, secret string
}

// newSite returns the site, and the client that it talks to the tenant with. One
// of each serves the whole program.
func newSite(app application, base string) (*auth0.Client, http.Handler, error) {
	if app.domain == "" || app.clientID == "" || app.secret == "" {
		return nil, nil, errors.New("set AUTH0_DOMAIN, AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET, or give -local")
	}
	client, err := auth0.New(app.domain)
	if err != nil {
		return nil, nil, err
	}
	verifier, err := authentication.NewVerifier(client, authentication.VerifierOptions{ClientID: app.clientID})
	if err != nil {
		return nil, nil, err
	}
	s := &site{
		api:      authentication.New(client, authentication.ClientSecretPost(app.clientID, app.secret)),
		verifier: verifier,
		base:     base,
		secure:   strings.HasPrefix(base, "https://"),
	}
	return client, s.handler(), nil
}

func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return server.Shutdown(end)
}
