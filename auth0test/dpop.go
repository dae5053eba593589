package auth0test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// proofAge is how far the time of a DPoP proof may be from the tenant's.
	proofAge = 5 * time.Minute
	// nonceLife is how long a nonce is asked for; the one before it is taken too.
	nonceLife = 5 * time.Minute
	// useNonce is the error code that asks for it.
	useNonce = "use_dpop_nonce"
)

// proof checks the DPoP proof that comes with a request and returns the
// thumbprint of its key, "" without a proof. accessToken is the token that the
// request presents, "" for requests that ask for one.
func (t *Tenant) proof(c *call, accessToken string) (thumbprint string, bad *oauthError) {
	sent := c.header.Values("DPoP")
	if len(sent) == 0 {
		return "", nil
	}
	refuse := func(what string) (string, *oauthError) {
		return "", &oauthError{Error: "invalid_dpop_proof", Description: what}
	}
	if len(sent) > 1 {
		return refuse("There is more than one DPoP proof")
	}
	j := parseJWT(sent[0])
	if j == nil || j.header.Typ != "dpop+jwt" {
		return refuse("The DPoP proof is not a JWT of type dpop+jwt")
	}
	key, thumbprint := publicJWK(j.header.JWK)
	if key == nil || !j.signedBy(key) {
		return refuse("The DPoP proof is not signed by the key that it names")
	}
	at, dated := j.moment("iat")
	sum := sha256.Sum256([]byte(accessToken))
	switch id := j.text("jti"); {
	case j.text("htm") != c.method:
		return refuse("The DPoP proof is for another method")
	case !c.wentTo(j.text("htu")):
		return refuse("The DPoP proof is for another URL")
	case !dated || at > c.now+proofAge || at < c.now-proofAge:
		return refuse("The DPoP proof is not of now")
	case accessToken != "" && j.text("ath") != encode64(sum[:]):
		return refuse("The DPoP proof is for another access token")
	case id == "" || !t.firstUse("dpop\n"+thumbprint+"\n"+id, c.now+2*proofAge):
		return refuse("The DPoP proof has been used before")
	case t.o.DPoPNonce && !slices.Contains([]string{t.nonce(c.now), t.nonce(c.now - nonceLife)}, j.text("nonce")):
		return "", &oauthError{Error: useNonce, Description: "The DPoP proof needs the nonce of the tenant"}
	}
	return thumbprint, nil
}

// unproven is the answer to a proof that was refused.
func (t *Tenant) unproven(c *call, status int, bad *oauthError) *answer {
	a := jsonAnswer(status, bad)
	if bad.Error == useNonce {
		a.header.Set("DPoP-Nonce", t.nonce(c.now))
	}
	if status == http.StatusUnauthorized {
		a.header.Set("WWW-Authenticate", `DPoP error="`+bad.Error+`"`)
	}
	return &a
}

// presents refuses a request whose access token is bound to a key that the
// request does not prove to have, or which claims such a bond falsely.
func (t *Tenant) presents(c *call, token string, g *grant) *oauthError {
	thumbprint, bad := t.proof(c, token)
	switch {
	case bad != nil:
		return bad
	case thumbprint != g.thumbprint || (thumbprint != "") != (c.tokenScheme() == "DPoP"):
		return &oauthError{Error: "invalid_token", Description: "The token is bound to a DPoP key, whose proof has to come with it, or to none"}
	}
	return nil
}

// nonce is what DPoP proofs have to contain at a time, where Options say so.
func (t *Tenant) nonce(at time.Duration) string {
	mac := hmac.New(sha256.New, t.key[:])
	mac.Write(binary.BigEndian.AppendUint64([]byte("nonce"), uint64(at/nonceLife)))
	return encode64(mac.Sum(nil)[:16])
}

// wentTo reports whether a request went to a URL. Query and fragment do not count.
func (c *call) wentTo(target string) bool {
	u, err := url.Parse(target)
	return err == nil && strings.EqualFold(u.Scheme, c.scheme) && strings.EqualFold(u.Host, c.host) && u.EscapedPath() == c.path
}

// firstUse reports whether something that may be used once, until a time, has
// not been used yet, and notes that it has been now.
func (t *Tenant) firstUse(id string, until time.Duration) bool {
	if _, used := t.once[id]; used {
		return false
	}
	t.once[id] = until
	return true
}
