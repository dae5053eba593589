package authentication

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/ratelimit"
)

// How long keys are kept. Auth0's own header allows 15 seconds, and a day when
// it cannot be asked; keys change a few times a year, with the new one
// published ahead, and a token that names a new key has them fetched at once.
const (
	keysFresh   = time.Hour        // then fetched again in the background
	keysStale   = 24 * time.Hour   // then no more used, whatever the tenant's state
	keysBetween = time.Minute      // between fetches, whatever tokens name and whatever came of the last
	keysTimeout = 30 * time.Second // of one fetch
)

// keyCache keeps the tenant's keys.
type keyCache struct {
	c hidden[*auth0.Client]

	mu      sync.Mutex
	keys    map[string]jose.JSONWebKey
	fetched time.Time // when keys arrived
	asked   time.Time // when the last fetch began
	err     error     // of the last of them
	flight  chan struct{}
}

// find returns the key of an id. It waits for a fetch only when it has no keys
// that are any good, or none of that id.
func (k *keyCache) find(ctx context.Context, id string) (jose.JSONWebKey, error) {
	if id == "" {
		return jose.JSONWebKey{}, refuse(ReasonKeyID, "it names no key")
	}
	if err := ctx.Err(); err != nil {
		return jose.JSONWebKey{}, err
	}
	k.mu.Lock()
	key, err := k.known(id)
	now := time.Now()
	if err == nil {
		if now.Sub(k.fetched) >= keysFresh && k.flight == nil && now.Sub(k.asked) >= keysBetween {
			k.fetch(ctx)
		}
		k.mu.Unlock()
		return key, nil
	}
	flight := k.flight
	if flight == nil {
		if now.Sub(k.asked) < keysBetween && !k.asked.IsZero() {
			k.mu.Unlock()
			return jose.JSONWebKey{}, err
		}
		flight = k.fetch(ctx)
	}
	k.mu.Unlock()
	select {
	case <-flight:
	case <-ctx.Done():
		return jose.JSONWebKey{}, ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known(id)
}

// known looks a key up; k.mu is held.
func (k *keyCache) known(id string) (jose.JSONWebKey, error) {
	usable := k.keys != nil && time.Since(k.fetched) < keysStale
	if usable {
		if key, ok := k.keys[id]; ok {
			return key, nil
		}
	}
	if k.err != nil {
		return jose.JSONWebKey{}, k.err
	}
	return jose.JSONWebKey{}, refuse(ReasonUnknownKey, "its key is not one of the tenant's")
}

// fetch begins a fetch; k.mu is held. It serves whoever comes meanwhile, and
// goes on when its first caller has given up.
func (k *keyCache) fetch(ctx context.Context) chan struct{} {
	flight := make(chan struct{})
	k.flight, k.asked = flight, time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
	go func() {
		defer cancel()
		keys, err := k.load(ctx)
		k.mu.Lock()
		k.flight, k.err = nil, err
		if err == nil {
			k.keys, k.fetched = keys, time.Now()
		}
		k.mu.Unlock()
		close(flight)
	}()
	return flight
}

func (k *keyCache) load(ctx context.Context) (map[string]jose.JSONWebKey, error) {
	set, err := auth0.Call[json.RawMessage](ctx, k.c(), http.MethodGet, keysPath, nil, nil, nil,
		[]auth0.RequestOption{auth0.Priority(ratelimit.PriorityInteractive)})
	if err != nil {
		return nil, typed(err)
	}
	keys := readKeys(set)
	if len(keys) == 0 {
		return nil, errors.New("authentication: the tenant published no key that tokens can be checked with")
	}
	return keys, nil
}

// readKeys returns the keys of a set that may sign tokens. What is not
// understood, too short, secret, or for encryption is left out, and so are
// certificates: the tenant's TLS connection vouches for its keys.
func readKeys(set []byte) map[string]jose.JSONWebKey {
	var all struct {
		Keys []struct {
			Type      string `json:"kty"`
			Use       string `json:"use,omitempty"`
			ID        string `json:"kid,omitempty"`
			Algorithm string `json:"alg,omitempty"`
			N         string `json:"n,omitempty"`
			E         string `json:"e,omitempty"`
			Curve     string `json:"crv,omitempty"`
			X         string `json:"x,omitempty"`
			Y         string `json:"y,omitempty"`
		} `json:"keys"`
	}
	_ = json.Unmarshal(set, &all) // a key that does not fit does not spoil the others
	keys := map[string]jose.JSONWebKey{}
	twice := map[string]bool{}
	for _, k := range all.Keys {
		data, err := json.Marshal(k)
		var key jose.JSONWebKey
		if err != nil || json.Unmarshal(data, &key) != nil || !key.Valid() || !key.IsPublic() {
			continue
		}
		if r, ok := key.Key.(*rsa.PublicKey); ok && r.N.BitLen() < 2048 {
			continue
		}
		if key.KeyID == "" || key.Use != "" && key.Use != "sig" {
			continue
		}
		if _, ok := keys[key.KeyID]; ok {
			twice[key.KeyID] = true
		}
		keys[key.KeyID] = key
	}
	for id := range twice {
		delete(keys, id) // whose signature it is could not be told
	}
	return keys
}
