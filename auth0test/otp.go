package auth0test

import (
	"crypto/hmac"
	"crypto/sha1" // what authenticator apps use
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// otpStep is how long an authenticator app shows a code.
const otpStep = 30 * time.Second

// TOTP returns what an authenticator app shows at a time for a secret in
// base32: six digits that change every 30 seconds (RFC 6238, with SHA-1). The
// secret is that of /mfa/associate, or of a [Factor].
func TOTP(secret string, at time.Time) (string, error) {
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(strings.ToUpper(secret), "="))
	if err != nil || len(key) == 0 {
		return "", errors.New("auth0test: the secret of the authenticator app is not base32")
	}
	return hotp(key, at.Unix()/int64(otpStep/time.Second)), nil
}

// hotp is the code of one step (RFC 4226).
func hotp(key []byte, step int64) string {
	mac := hmac.New(sha1.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1_000_000)
}

// newSecret returns a new secret for an authenticator app.
func (t *Tenant) newSecret() string {
	key, err := hex.DecodeString(t.newID(40))
	if err != nil {
		panic(err) // it is hexadecimal
	}
	return base32.StdEncoding.EncodeToString(key) // 20 bytes need no padding
}

// newDigits returns a code of six digits to send to somebody.
func (t *Tenant) newDigits() string {
	key, err := hex.DecodeString(t.newID(8))
	if err != nil {
		panic(err) // it is hexadecimal
	}
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(key)%1_000_000)
}
