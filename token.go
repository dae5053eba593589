package auth0

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Token is an access token. Printed with fmt or logged with slog, it shows nothing
// of itself, whatever the verb. Encoded as JSON it is there, so that it can be
// stored; so it is in a log's JSON of a struct that holds it, and in fmt's text of
// one that holds it in an unexported field, where Go asks no value how to print it.
type Token struct {
	// AccessToken is what goes into the Authorization header.
	AccessToken string
	// Expiry is when the token ends. Zero means that its source knows better:
	// the source is then asked for every call.
	Expiry time.Time
}

// String returns a placeholder.
func (t Token) String() string { return "auth0.Token[redacted]" }

// GoString returns a placeholder.
func (t Token) GoString() string { return t.String() }

// Format writes the placeholder, whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue returns when the token ends and no more.
func (t Token) LogValue() slog.Value {
	return slog.GroupValue(slog.Time("expiry", t.Expiry))
}

// TokenSource makes access tokens. Token must end when its context does, and be
// safe for concurrent use. Its errors reach the callers of the client as they
// are.
type TokenSource interface {
	Token(ctx context.Context) (Token, error)
}

// TokenSourceFunc is a TokenSource made of a function.
type TokenSourceFunc func(ctx context.Context) (Token, error)

// Token calls f.
func (f TokenSourceFunc) Token(ctx context.Context) (Token, error) { return f(ctx) }

// StaticToken returns a source of one fixed token.
func StaticToken(token string) TokenSource { return staticSource(token) }

type staticSource string

// Token returns the token.
func (s staticSource) Token(context.Context) (Token, error) {
	return Token{AccessToken: string(s)}, nil
}

func (s staticSource) String() string { return "auth0.StaticToken[redacted]" }

// GoString is String.
func (s staticSource) GoString() string { return s.String() }

// Format writes String, whatever the verb.
func (s staticSource) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// OAuth2 adapts a golang.org/x/oauth2.TokenSource, without this module
// depending on that one:
//
//	auth0.WithTokenSource(auth0.OAuth2(config.TokenSource(ctx)))
//
// Such sources keep their own tokens and know nothing of contexts: they are
// asked for every call, and a call whose context ends leaves the source to
// itself.
func OAuth2[T interface{ SetAuthHeader(*http.Request) }](src interface{ Token() (T, error) }) TokenSource {
	return TokenSourceFunc(func(context.Context) (Token, error) {
		t, err := src.Token()
		if err != nil {
			return Token{}, err
		}
		r := http.Request{Header: http.Header{}}
		t.SetAuthHeader(&r)
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		return Token{AccessToken: token}, nil
	})
}

// tokenCache keeps the token of a source until shortly before it expires, and
// has one fetch under way at a time for any number of callers.
type tokenCache struct {
	src TokenSource
	now func() time.Time

	mu      sync.Mutex
	tok     Token
	fetched time.Time
	failed  time.Time // when the last fetch failed that a good token was to be replaced by
	flight  *tokenFlight
}

// tokenFlight is one fetch. It goes on while anybody waits for it, whoever
// started it.
type tokenFlight struct {
	done    chan struct{}
	tok     Token
	err     error
	waiters int
	cancel  context.CancelFunc
}

// Tokens are refreshed in the last tenth of their life, at most five minutes
// before they end, and not used in the last ten seconds, so that none ends on
// its way to the server. A refresh that fails is tried again after a pause, and not
// at each call: the calls go on with the token that there is.
const (
	refreshAheadMost = 5 * time.Minute
	refreshPause     = 10 * time.Second
	expiryLeeway     = 10 * time.Second
	refreshTimeout   = time.Minute
)

// Token returns a token that is good for now. It waits for a fetch only while
// there is none, and no longer than ctx.
func (c *tokenCache) Token(ctx context.Context) (Token, error) {
	if err := ctx.Err(); err != nil {
		return Token{}, err
	}
	if s, ok := c.src.(staticSource); ok {
		return s.Token(ctx)
	}
	c.mu.Lock()
	if c.tok.AccessToken != "" && !c.tok.Expiry.IsZero() {
		now, life := c.now(), c.tok.Expiry.Sub(c.fetched)
		left := c.tok.Expiry.Sub(now)
		if left > min(expiryLeeway, life/10) {
			tok := c.tok
			if left <= min(refreshAheadMost, life/10) && c.flight == nil && now.Sub(c.failed) >= refreshPause {
				c.start(ctx, true)
			}
			c.mu.Unlock()
			return tok, nil
		}
	}
	f := c.flight
	if f == nil {
		f = c.start(ctx, false)
	}
	f.waiters++
	c.mu.Unlock()

	select {
	case <-f.done:
		return f.tok, f.err
	case <-ctx.Done():
		c.leave(f)
		return Token{}, fmt.Errorf("auth0: no access token in time: %w", ctx.Err())
	}
}

// leave gives up waiting for f, and ends it when nobody else waits.
func (c *tokenCache) leave(f *tokenFlight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiters--
	if f.waiters == 0 {
		f.cancel()
		if c.flight == f {
			c.flight = nil // the next caller starts afresh
		}
	}
}

// start begins a fetch; c.mu is held. A fetch ahead of expiry has no waiters to
// end it and gets a time limit of its own.
func (c *tokenCache) start(ctx context.Context, ahead bool) *tokenFlight {
	ctx = context.WithoutCancel(ctx)
	f := &tokenFlight{done: make(chan struct{})}
	if ahead {
		f.waiters++
		ctx, f.cancel = context.WithTimeout(ctx, refreshTimeout)
	} else {
		ctx, f.cancel = context.WithCancel(ctx)
	}
	c.flight = f
	go func() {
		defer f.cancel()
		// The first caller's values may serve the source, but not how its own
		// request was to be admitted.
		f.tok, f.err = c.src.Token(context.WithValue(ctx, callKey{}, (*call)(nil)))
		if f.err == nil && f.tok.AccessToken == "" {
			f.err = errEmptyToken
		}
		c.mu.Lock()
		if c.flight == f {
			c.flight = nil
		}
		if f.err == nil {
			c.tok, c.fetched = f.tok, c.now()
		} else if ahead {
			c.failed = c.now()
		}
		c.mu.Unlock()
		close(f.done)
	}()
	return f
}

// drop forgets a token that the server refused. It reports whether another may
// be had: a fixed token stays what it is.
func (c *tokenCache) drop(token string) bool {
	if _, ok := c.src.(staticSource); ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tok.AccessToken == token {
		c.tok = Token{}
	}
	return true
}
