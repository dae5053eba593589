package authentication_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/authentication"
)

// keyServer publishes keys, in the way and at the pace that a test sets.
type keyServer struct {
	mu       sync.Mutex
	document string
	status   int
	delay    time.Duration
	fetches  []time.Duration // since start
	start    time.Time
}

func (s *keyServer) set(f func(*keyServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *keyServer) times() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Duration(nil), s.fetches...)
}

func (s *keyServer) answer(*http.Request, string) answer {
	s.mu.Lock()
	s.fetches = append(s.fetches, time.Since(s.start))
	document, status, delay := s.document, s.status, s.delay
	s.mu.Unlock()
	time.Sleep(delay)
	if status != 0 {
		return reply(status, "text/plain", "down")
	}
	return replyJSON(200, document, "Cache-Control", "public, max-age=15")
}

// newKeyServer publishes k1, and returns a verifier for tokens of any age.
func newKeyServer(t *testing.T) (*keyServer, *authentication.Verifier) {
	t.Helper()
	s := &keyServer{document: keysDocument(t, map[string]any{"k1": &rsaKey(t, "tenant").PublicKey}), start: time.Now()}
	v, err := authentication.NewVerifier(newClient(t, s.answer), authentication.VerifierOptions{ClientID: "app"})
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

// tokenOf is a token in force that names a key.
func tokenOf(t *testing.T, kid, key string) string {
	t.Helper()
	return encode(t, `{"alg":"RS256","kid":"`+kid+`"}`, claimsText(t, nil), rsaKey(t, key))
}

func anyNonce() authentication.Expect { return authentication.Expect{AnyNonce: true} }

func check(t *testing.T, v *authentication.Verifier, raw string) error {
	t.Helper()
	_, err := v.IDToken(t.Context(), raw, anyNonce())
	return err
}

func reasonOf(err error) authentication.Reason {
	if e, ok := errors.AsType[*authentication.TokenError](err); ok {
		return e.Reason
	}
	return ""
}

// A thousand callers that come at once cause one fetch.
func TestKeysAreFetchedOnceForMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, v := newKeyServer(t)
		s.delay = time.Second
		raw := tokenOf(t, "k1", "tenant")
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if err := check(t, v, raw); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(s.times()); n != 1 || time.Since(s.start) != time.Second {
			t.Errorf("%d fetches in %v", n, time.Since(s.start))
		}
	})
}

// The caller that started a fetch may give up: the others get its keys.
func TestKeyFetchOutlivesItsFirstCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, v := newKeyServer(t)
		s.delay = 10 * time.Second
		raw := tokenOf(t, "k1", "tenant")
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := v.IDToken(ctx, raw, anyNonce()); !errors.Is(err, context.DeadlineExceeded) || time.Since(s.start) != time.Second {
				t.Errorf("first: %v after %v", err, time.Since(s.start))
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := check(t, v, raw); err != nil || time.Since(s.start) != 10*time.Second {
				t.Errorf("second: %v after %v", err, time.Since(s.start))
			}
		})
		wg.Wait()
		if n := len(s.times()); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

// Wrong tokens, each naming another key, come by the thousand for an hour: a
// fetch a minute is the most that they cause.
func TestUnknownKeysAreAskedForOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, v := newKeyServer(t)
		raw := tokenOf(t, "k1", "tenant")
		text := raw[strings.IndexByte(raw, '.'):]
		for i := range 3600 {
			err := check(t, v, b64(fmt.Sprintf(`{"alg":"RS256","kid":"x%d"}`, i))+text)
			if reasonOf(err) != authentication.ReasonUnknownKey {
				t.Fatalf("at %d s: %v", i, err)
			}
			time.Sleep(time.Second)
		}
		times := s.times()
		if len(times) != 60 {
			t.Errorf("%d fetches in an hour of wrong tokens, want 60", len(times))
		}
		for i, at := range times {
			if at != time.Duration(i)*time.Minute {
				t.Fatalf("fetch %d at %v", i, at)
			}
		}
	})
}

// A token that names a new key has it fetched at once, when the last fetch is a
// minute ago; one that was retired is refused from then on.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, v := newKeyServer(t)
		if err := check(t, v, tokenOf(t, "k1", "tenant")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		s.set(func(s *keyServer) { s.document = keysDocument(t, map[string]any{"k2": &rsaKey(t, "client").PublicKey}) })
		if err := check(t, v, tokenOf(t, "k2", "client")); err != nil {
			t.Errorf("new key: %v", err)
		}
		if err := check(t, v, tokenOf(t, "k1", "tenant")); reasonOf(err) != authentication.ReasonUnknownKey {
			t.Errorf("retired key: %v", err)
		}
		if n := len(s.times()); n != 2 {
			t.Errorf("%d fetches", n)
		}
	})
}

// Keys are fetched anew each hour, behind the back of callers, and serve through
// an outage of less than a day.
func TestKeysThroughAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, v := newKeyServer(t)
		if err := check(t, v, tokenOf(t, "k1", "tenant")); err != nil {
			t.Fatal(err)
		}
		s.set(func(s *keyServer) { s.status, s.delay = 503, 5*time.Second })
		for hour := 1; hour < 24; hour++ {
			time.Sleep(time.Hour)
			before := time.Now()
			if err := check(t, v, tokenOf(t, "k1", "tenant")); err != nil || time.Since(before) != 0 {
				t.Fatalf("after %d hours: %v in %v", hour, err, time.Since(before))
			}
			time.Sleep(10 * time.Second)
			if n := len(s.times()); n != 1+hour {
				t.Fatalf("%d fetches after %d hours", n, hour)
			}
			before = time.Now()
			if err := check(t, v, tokenOf(t, "k9", "tenant")); !errors.Is(err, auth0.ErrServer) || time.Since(before) != 0 {
				t.Fatalf("unknown key after %d hours: %v in %v", hour, err, time.Since(before))
			}
		}
		time.Sleep(time.Hour)
		if err := check(t, v, tokenOf(t, "k1", "tenant")); !errors.Is(err, auth0.ErrServer) {
			t.Errorf("after a day: %v", err)
		}
		s.set(func(s *keyServer) { s.status, s.delay = 0, 0 })
		time.Sleep(time.Minute)
		if err := check(t, v, tokenOf(t, "k1", "tenant")); err != nil {
			t.Errorf("after the outage: %v", err)
		}
	})
}

// Without any keys nobody can log in, so failures are followed up after 1, 2, 4
// and more seconds, and callers in between get the error that there was.
func TestKeysAreDownFromTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, v := newKeyServer(t)
		s.status = 503
		for range 1000 {
			if err := check(t, v, tokenOf(t, "k1", "tenant")); !errors.Is(err, auth0.ErrServer) {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		want := []int{0, 60}
		times := s.times()
		if len(times) != len(want) {
			t.Fatalf("fetches at %v", times)
		}
		for i := range want {
			if times[i] != time.Duration(want[i])*time.Second {
				t.Errorf("fetch %d at %v, want %v s", i, times[i], want[i])
			}
		}
	})
}

// What a key set has that no token can be checked with is left out.
func TestOddKeySets(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := keysDocument(t, map[string]any{"k1": &rsaKey(t, "tenant").PublicKey})
	one := good[len(`{"keys":[`) : len(good)-2]
	for name, c := range map[string]struct {
		document string
		ok       bool
	}{
		"as it should be":         {good, true},
		"beside a secret":         {`{"keys":[{"kty":"oct","kid":"k1","k":"c2VjcmV0"},` + one + `]}`, true},
		"beside an unknown kind":  {`{"keys":[{"kty":"XYZ","kid":"k7"},` + one + `]}`, true},
		"beside a number":         {`{"keys":[7,` + one + `]}`, true},
		"beside one to encrypt":   {`{"keys":[` + strings.Replace(one, `"sig"`, `"enc"`, 1) + `,` + one + `]}`, true},
		"with a broken x5c":       {`{"keys":[` + one[:len(one)-1] + `,"x5c":["bm90IGEgY2VydGlmaWNhdGU="]}]}`, true},
		"no kid":                  {strings.Replace(good, `"kid":"k1",`, "", 1), false},
		"to encrypt":              {strings.Replace(good, `"sig"`, `"enc"`, 1), false},
		"the same id twice":       {`{"keys":[` + one + `,` + one + `]}`, false},
		"a short key":             {keysDocument(t, map[string]any{"k1": &small.PublicKey}), false},
		"no keys":                 {`{"keys":[]}`, false},
		"no JSON":                 {`<html>`, false},
		"a secret of the same id": {`{"keys":[{"kty":"oct","kid":"k1","k":"c2VjcmV0"}]}`, false},
		"for another algorithm":   {`{"keys":[` + one[:len(one)-1] + `,"alg":"PS256"}]}`, false},
	} {
		v, err := authentication.NewVerifier(newClient(t, func(*http.Request, string) answer { return replyJSON(200, c.document) }),
			authentication.VerifierOptions{ClientID: "app"})
		if err != nil {
			t.Fatal(err)
		}
		raw := tokenOf(t, "k1", "tenant")
		if name == "a short key" {
			raw = encode(t, goodHeader, claimsText(t, nil), small)
		}
		if err := check(t, v, raw); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
