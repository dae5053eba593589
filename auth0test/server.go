package auth0test

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"
)

// DefaultAddr is where [Tenant.ListenAndServe] listens without an address. It
// can be reached from this machine only.
const DefaultAddr = "127.0.0.1:8080"

// ServeHTTP answers a request over HTTP. A lost connection is one that is cut
// without an answer: a caller on a connection that is kept alive sees it reset
// or ended. Refusals need a connection to be refused and do not happen here.
func (t *Tenant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == ReportPath {
		write(w, t.report(r.Method))
		return
	}
	body, err := readBody(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the caller went away while sending
	}
	f, err := t.depart(r, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	f.refuse = false
	a, err := t.travel(r.Context(), r, body, f)
	if err != nil {
		panic(http.ErrAbortHandler) // cuts the connection, logs nothing
	}
	write(w, a)
}

func write(w http.ResponseWriter, a answer) {
	h := w.Header()
	maps.Copy(h, a.header)
	if a.status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a caller who is gone misses the rest
}

// TB is the part of [testing.TB] that Server needs, so that programs that embed
// a tenant do not link the testing package.
type TB interface {
	Helper()
	Cleanup(func())
}

// Server serves the tenant on a port of this machine until the test ends.
func (t *Tenant) Server(tb TB) *httptest.Server {
	tb.Helper()
	s := httptest.NewUnstartedServer(t)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	tb.Cleanup(s.Close)
	return s
}

// Listen opens the address that ListenAndServe would serve on: DefaultAddr for
// an empty one, and the loopback interface where only a port is given. Port 0
// picks a free one.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	if addr == "" {
		addr = DefaultAddr
	}
	if strings.HasPrefix(addr, ":") {
		addr = "127.0.0.1" + addr
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", addr)
}

// ListenAndServe serves the tenant on addr, see [Listen], until the context
// ends; then it waits up to five seconds for the requests under way. It prints
// nothing. It returns nil after a shutdown that the context asked for.
func (t *Tenant) ListenAndServe(ctx context.Context, addr string) error {
	l, err := Listen(ctx, addr)
	if err != nil {
		return err
	}
	return t.Serve(ctx, l)
}

// Serve is ListenAndServe for a listener that is open. It closes the listener.
func (t *Tenant) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{Handler: t, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := s.Shutdown(wait)
	if err != nil {
		err = errors.Join(err, s.Close())
	}
	if ended := <-failed; err == nil && !errors.Is(ended, http.ErrServerClosed) {
		err = ended
	}
	return err
}
