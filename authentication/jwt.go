package authentication

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// Reason is why a token is refused.
type Reason string

// The reasons for which tokens are refused.
const (
	ReasonMalformed       Reason = "malformed"
	ReasonEncrypted       Reason = "encrypted"
	ReasonTooLarge        Reason = "too large"
	ReasonDuplicate       Reason = "duplicate member"
	ReasonAlgorithm       Reason = "algorithm"
	ReasonType            Reason = "type"
	ReasonHeader          Reason = "header" // names a key of its own, or an extension
	ReasonKeyID           Reason = "key id"
	ReasonUnknownKey      Reason = "unknown key"
	ReasonSignature       Reason = "signature"
	ReasonClaim           Reason = "claim" // missing, or of the wrong type
	ReasonIssuer          Reason = "issuer"
	ReasonAudience        Reason = "audience"
	ReasonAuthorizedParty Reason = "authorized party"
	ReasonExpired         Reason = "expired"
	ReasonNotYetValid     Reason = "not yet valid"
	ReasonNonce           Reason = "nonce"
	ReasonMaxAge          Reason = "max age"
	ReasonOrganization    Reason = "organization"
	ReasonHash            Reason = "hash" // at_hash or c_hash
	ReasonScope           Reason = "scope"
	ReasonBinding         Reason = "binding" // to a DPoP key or a certificate
)

// TokenError is the refusal of a token. It never shows any of the token.
type TokenError struct {
	Reason Reason
	// Detail says what is wrong in words.
	Detail string
}

// Error returns the detail.
func (e *TokenError) Error() string { return "authentication: token refused: " + e.Detail }

func refuse(r Reason, detail string) error { return &TokenError{Reason: r, Detail: detail} }

// Bounds on what is read of a token at all. Auth0's own stay below 16 KiB,
// since they travel in headers.
const (
	maxToken = 64 << 10
	maxDepth = 32
	maxKeyID = 256
)

// jwt is a token in parts, parsed but not believed.
type jwt struct {
	alg, kid, typ string
	claims        map[string]json.RawMessage
	payload       []byte
	odd           error // what go-oidc has against the claims
}

// parseJWT reads a token strictly: what readers could take in two ways is
// refused.
func parseJWT(raw string) (*jwt, error) {
	switch {
	case raw == "":
		return nil, refuse(ReasonMalformed, "it is empty")
	case len(raw) > maxToken:
		return nil, refuse(ReasonTooLarge, "it is longer than 64 KiB")
	}
	parts := strings.Split(raw, ".")
	switch {
	case len(parts) == 5:
		return nil, refuse(ReasonEncrypted, "it is encrypted or opaque, and only its issuer can read it")
	case len(parts) != 3:
		return nil, refuse(ReasonMalformed, "it has not the three parts of a JWT")
	}
	header, err := decodePart(parts[0], "header")
	if err != nil {
		return nil, err
	}
	t := &jwt{}
	if t.payload, err = decodePart(parts[1], "payload"); err != nil {
		return nil, err
	}
	if _, err := decodePart(parts[2], "signature"); err != nil {
		return nil, err
	}
	h, err := object(header, "header")
	if err != nil {
		return nil, err
	}
	if t.claims, err = object(t.payload, "payload"); err != nil {
		return nil, err
	}
	if parts[2] == "" && !isNone(h) {
		return nil, refuse(ReasonSignature, "it has no signature")
	}
	return t, t.readHeader(h)
}

func isNone(h map[string]json.RawMessage) bool {
	var alg string
	return json.Unmarshal(h["alg"], &alg) == nil && strings.EqualFold(alg, "none")
}

func decodePart(part, name string) ([]byte, error) {
	// The decoder skips line breaks, which would let one token be written in
	// many ways.
	if strings.ContainsAny(part, "\r\n") {
		return nil, refuse(ReasonMalformed, "its "+name+" has line breaks")
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(part)
	switch {
	case err != nil:
		return nil, refuse(ReasonMalformed, "its "+name+" is not base64url")
	case name != "signature" && !utf8.Valid(data):
		return nil, refuse(ReasonMalformed, "its "+name+" is not UTF-8")
	}
	return data, nil
}

// readHeader checks what a header says. Keys that a token brings along, or
// points to, prove nothing; extensions that it calls critical are not known.
func (t *jwt) readHeader(h map[string]json.RawMessage) error {
	for _, name := range [...]string{"jwk", "jku", "x5u", "x5c"} {
		if _, ok := h[name]; ok {
			return refuse(ReasonHeader, "its header has "+name+", a key of its own choosing")
		}
	}
	for _, name := range [...]string{"crit", "b64", "zip", "enc"} {
		if _, ok := h[name]; ok {
			return refuse(ReasonHeader, "its header has "+name+", which is not supported")
		}
	}
	for name, into := range map[string]*string{"alg": &t.alg, "kid": &t.kid, "typ": &t.typ} {
		if raw, ok := h[name]; ok && (!isString(raw) || json.Unmarshal(raw, into) != nil) {
			return refuse(ReasonMalformed, name+" in its header is not a string")
		}
	}
	switch {
	case t.alg == "":
		return refuse(ReasonAlgorithm, "its header names no algorithm")
	case strings.EqualFold(t.alg, "none"):
		return refuse(ReasonAlgorithm, "it is not signed (alg none)")
	case len(t.kid) > maxKeyID:
		return refuse(ReasonKeyID, "its key id is longer than 256 characters")
	case strings.ContainsFunc(t.kid, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'\\;", r) }):
		return refuse(ReasonKeyID, "its key id has characters that no key id of Auth0 has")
	}
	return nil
}

// object reads a JSON object and refuses one in which a name occurs twice, on
// any level.
func object(data []byte, name string) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return nil, refuse(ReasonMalformed, "its "+name+" is not a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	switch err := scan(d, 0); {
	case errors.Is(err, errDeep):
		return nil, refuse(ReasonMalformed, "its "+name+" is nested too deeply")
	case err != nil:
		return nil, refuse(ReasonDuplicate, "its "+name+" has a member twice")
	}
	return members, nil
}

const (
	errDeep  scanError = "too deep"
	errTwice scanError = "twice"
)

type scanError string

// Error returns the name of the error.
func (e scanError) Error() string { return string(e) }

func scan(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxDepth {
		return errDeep
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			name, _ := key.(string)
			if seen[name] {
				return errTwice
			}
			seen[name] = true
		}
		if err := scan(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

func isString(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '"' }

// text returns a claim that is a string, "" when there is none.
func (t *jwt) text(name string) (string, error) {
	raw, ok := t.claims[name]
	if !ok {
		return "", nil
	}
	var s string
	if !isString(raw) || json.Unmarshal(raw, &s) != nil {
		return "", refuse(ReasonClaim, name+" is not a string")
	}
	return s, nil
}

// needText is text for claims that have to be there.
func (t *jwt) needText(name string) (string, error) {
	s, err := t.text(name)
	if err == nil && s == "" {
		err = refuse(ReasonClaim, name+" is missing or empty")
	}
	return s, err
}

// moment returns a claim that is a time, zero when there is none.
func (t *jwt) moment(name string) (time.Time, error) {
	raw, ok := t.claims[name]
	if !ok {
		return time.Time{}, nil
	}
	var n *float64
	if json.Unmarshal(raw, &n) != nil || n == nil {
		return time.Time{}, refuse(ReasonClaim, name+" is not a number")
	}
	at, ok := numericDate(*n)
	if !ok {
		return time.Time{}, refuse(ReasonClaim, name+" is no time")
	}
	return at, nil
}

func (t *jwt) needMoment(name string) (time.Time, error) {
	at, err := t.moment(name)
	if err == nil && at.IsZero() {
		err = refuse(ReasonClaim, name+" is missing")
	}
	return at, err
}

// audience returns aud, which is a string or an array of them.
func (t *jwt) audience() ([]string, error) {
	raw, ok := t.claims["aud"]
	if !ok {
		return nil, refuse(ReasonClaim, "aud is missing")
	}
	if isString(raw) {
		one, err := t.needText("aud")
		return []string{one}, err
	}
	var all []*string
	if json.Unmarshal(raw, &all) != nil || len(all) == 0 {
		return nil, refuse(ReasonClaim, "aud is neither a string nor an array of strings")
	}
	list := make([]string, len(all))
	for i, s := range all {
		if s == nil || *s == "" {
			return nil, refuse(ReasonClaim, "aud has an empty entry")
		}
		list[i] = *s
	}
	return list, nil
}

// halfHash is what at_hash and c_hash are: the left half of a hash of the
// token's own algorithm.
func halfHash(alg, s string) string {
	hash := crypto.SHA256
	switch {
	case strings.HasSuffix(alg, "384"):
		hash = crypto.SHA384
	case strings.HasSuffix(alg, "512"), alg == "EdDSA":
		hash = crypto.SHA512
	}
	h := hash.New()
	h.Write([]byte(s))
	sum := h.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
