package importer

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// bcrypt checks password_hash.
func (c *checker) bcrypt(hash []byte) {
	const field = "password_hash"
	cost, ok := bcryptCost(hash, "ab")
	switch {
	case !ok:
		c.refuse(field, ruleBcrypt, "not a bcrypt hash that begins with $2a$ or $2b$")
	case cost != 10:
		c.refuse(field, ruleBcryptCost, fmt.Sprintf("the cost is %d and should be 10", cost))
	}
}

// bcryptCost returns the cost of a bcrypt hash, false when it is none of the
// versions, which are letters behind $2.
func bcryptCost(hash []byte, versions string) (int, bool) {
	if len(hash) != 60 || string(hash[:2]) != "$2" || strings.IndexByte(versions, hash[2]) < 0 || hash[3] != '$' || hash[6] != '$' {
		return 0, false
	}
	cost, err := strconv.Atoi(string(hash[4:6]))
	inAlphabet := allIn(hash[7:], func(c byte) bool { return c == '.' || c == '/' || isAlphanumeric(c) })
	return cost, err == nil && cost >= 4 && cost <= 31 && inAlphabet
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// The parts of a custom_password_hash. A text that is nil is absent.
type customHash struct {
	algorithm                  []byte
	value, encoding, digest    []byte
	key, keyEncoding           []byte
	salt, saltValue            []byte // the object, and the value in it
	saltEncoding, saltPosition []byte
	passwordEncoding           []byte
	keylen                     int // 0 when absent
	hasKey, saltInHash         bool
}

const customField = "custom_password_hash"

// customHash checks custom_password_hash against the published schema and what
// is published about each algorithm.
func (c *checker) customHash(v []byte) {
	var h customHash
	before := len(c.rec.Problems)
	seen := uint16(0)
	for name, part := range members(v) {
		i := slices.Index(customParts[:], string(name))
		if i < 0 {
			c.refuse(customField+"."+shown(name), ruleHashField, "there is no such part")
			continue
		}
		if seen&(1<<i) != 0 {
			c.refuse(customField+"."+shown(name), ruleFieldTwice, "the part is there twice")
			continue
		}
		seen |= 1 << i
		c.customPart(&h, customParts[i], part)
	}
	if len(c.rec.Problems) > before {
		return // what follows from a wrong part is not a second fault
	}
	c.algorithm(&h)
}

// customParts are the names that custom_password_hash may hold.
var customParts = [...]string{"algorithm", "hash", "salt", "password", "keylen", "cost", "blockSize", "parallelization"}

func (c *checker) customPart(h *customHash, name string, v []byte) {
	at := customField + "." + name
	switch name {
	case "algorithm":
		h.algorithm = c.part(at, kindString, v)
	case "hash":
		if c.part(at, kindObject, v) == nil {
			return
		}
		for name, v := range members(v) {
			at := at + "." + shown(name)
			switch string(name) {
			case "value":
				h.value = c.part(at, kindString, v)
			case "encoding":
				h.encoding = c.part(at, kindString, v)
			case "digest":
				h.digest = c.part(at, kindString, v)
			case "salt":
				h.saltInHash = true
			case "key":
				if c.part(at, kindObject, v) == nil {
					continue
				}
				h.hasKey = true
				for name, v := range members(v) {
					at := at + "." + shown(name)
					switch string(name) {
					case "value":
						h.key = c.part(at, kindString, v)
					case "encoding":
						h.keyEncoding = c.part(at, kindString, v)
					}
				}
			}
		}
	case "salt":
		if h.salt = c.part(at, kindObject, v); h.salt == nil {
			return
		}
		for name, v := range members(v) {
			at := at + "." + shown(name)
			switch string(name) {
			case "value":
				h.saltValue = c.part(at, kindString, v)
			case "encoding":
				h.saltEncoding = c.part(at, kindString, v)
			case "position":
				h.saltPosition = c.part(at, kindString, v)
			}
		}
	case "password":
		if c.part(at, kindObject, v) == nil {
			return
		}
		for name, v := range members(v) {
			if string(name) == "encoding" {
				h.passwordEncoding = c.part(at+".encoding", kindString, v)
			}
		}
	case "keylen":
		n, ok := wholeNumber(v)
		if !ok || n < 1 {
			c.refuse(at, ruleScryptKeylen, "not a whole number greater than zero")
			return
		}
		h.keylen = n
	case "cost":
		if n, ok := wholeNumber(v); !ok || n < 2 || n&(n-1) != 0 {
			c.refuse(at, ruleScryptCost, "not a power of two greater than one")
		}
	default:
		if n, ok := wholeNumber(v); !ok || n < 1 {
			c.refuse(at, ruleScryptNumber, "not a whole number greater than zero")
		}
	}
}

// part returns a value of the right type, a string unquoted; nil when it is of
// another, which it reports.
func (c *checker) part(at, kind string, v []byte) []byte {
	if is := kindOf(v); is != kind {
		c.refuse(at, ruleType, "this is "+is+" and should be "+kind)
		return nil
	}
	if kind == kindString {
		return unquote(v)
	}
	return v
}

func wholeNumber(v []byte) (int, bool) {
	n, err := strconv.Atoi(string(v))
	return n, err == nil
}

// algorithm checks the parts of a hash against each other.
func (c *checker) algorithm(h *customHash) {
	algorithm := string(h.algorithm)
	encodings, salted := []string{"hex", "base64"}, true
	switch algorithm {
	case "argon2", "pbkdf2", "ldap":
		encodings, salted = []string{"utf8"}, false
	case "bcrypt":
		encodings = []string{"utf8"}
	case "hmac", "md4", "md5", "sha1", "sha256", "sha512", "scrypt":
	case "":
		c.refuse(customField+".algorithm", ruleHashAlgorithm, "there is no algorithm")
		return
	default:
		c.refuse(customField+".algorithm", ruleHashAlgorithm, "no such algorithm")
		return
	}
	if len(h.value) == 0 {
		c.refuse(customField+".hash.value", ruleHashValue, "there is no hash")
		return
	}
	c.salt(h, algorithm, salted)
	if h.passwordEncoding != nil && !slices.Contains([]string{"ascii", "utf8", "utf16le", "ucs2", "latin1", "binary"}, string(h.passwordEncoding)) {
		c.refuse(customField+".password.encoding", rulePasswordEncoding, "no such encoding")
	}
	if h.digest != nil && digestLength(string(h.digest)) == 0 || h.digest == nil && algorithm == "hmac" {
		c.refuse(customField+".hash.digest", ruleHashDigest, "no digest that Auth0 knows is named")
	}
	c.key(h, algorithm)
	if algorithm == "scrypt" && h.keylen == 0 {
		c.refuse(customField+".keylen", ruleScryptKeylen, "scrypt needs it")
	}
	// Text that carries its own parameters is utf8, which may go unsaid.
	if encodings[0] != "utf8" || h.encoding != nil {
		if !slices.Contains(encodings, string(h.encoding)) {
			c.refuse(customField+".hash.encoding", ruleHashEncoding, "with "+algorithm+" it is "+strings.Join(encodings, " or "))
			return
		}
	}
	c.value(h, algorithm)
}

// salt checks the salt beside the hash.
func (c *checker) salt(h *customHash, algorithm string, allowed bool) {
	const field = customField + ".salt"
	if h.saltInHash && !allowed {
		c.refuse(customField+".hash.salt", ruleSaltForbidden, "there is no place for a salt with "+algorithm)
	}
	switch {
	case h.salt == nil:
	case !allowed:
		c.refuse(field, ruleSaltForbidden, "there is no place for a salt with "+algorithm)
	case h.saltPosition != nil && string(h.saltPosition) != "prefix" && string(h.saltPosition) != "suffix":
		c.refuse(field+".position", ruleSaltPosition, "no such position")
	case h.saltEncoding != nil && !isEncoding(h.saltEncoding):
		c.refuse(field+".encoding", ruleSaltEncoding, "no such encoding")
	case h.saltValue == nil:
		c.refuse(field+".value", ruleSaltValue, "there is no salt")
	default:
		if _, ok := decoded(h.saltValue, h.saltEncoding); !ok {
			c.refuse(field+".value", ruleSaltValue, "not valid "+string(h.saltEncoding))
		}
	}
}

// key checks the key of an HMAC.
func (c *checker) key(h *customHash, algorithm string) {
	const field = customField + ".hash.key"
	switch {
	case !h.hasKey && algorithm != "hmac":
	case h.key == nil:
		c.refuse(field+".value", ruleHashKey, "there is no key")
	case h.keyEncoding != nil && !isEncoding(h.keyEncoding):
		c.refuse(field+".encoding", ruleHashKey, "no such encoding")
	default:
		if _, ok := decoded(h.key, h.keyEncoding); !ok {
			c.refuse(field+".value", ruleHashKey, "not valid "+string(h.keyEncoding))
		}
	}
}

// value checks the hash itself.
func (c *checker) value(h *customHash, algorithm string) {
	const field = customField + ".hash.value"
	switch algorithm {
	case "bcrypt":
		if _, ok := bcryptCost(h.value, "aby"); !ok {
			c.refuse(field, ruleBcrypt, "not a bcrypt hash that begins with $2a$, $2b$ or $2y$")
		}
	case "argon2":
		if !isArgon2(h.value) {
			c.refuse(field, ruleArgon2, "not an argon2 hash with its parameters and salt")
		}
	case "pbkdf2":
		c.pbkdf2(field, h.value)
	case "ldap":
		c.ldap(field, h.value)
	default:
		n, ok := decoded(h.value, h.encoding)
		if !ok {
			c.refuse(field, ruleHashValue, "not valid "+string(h.encoding))
			return
		}
		want := digestLength(algorithm)
		switch algorithm {
		case "hmac":
			want = digestLength(string(h.digest))
		case "scrypt":
			want = h.keylen
		}
		if want > 0 && n != want {
			c.refuse(field, ruleHashLength, fmt.Sprintf("it holds %d bytes and should hold %d", n, want))
		}
	}
}

func isEncoding(name []byte) bool {
	return slices.Contains([]string{"base64", "hex", "utf8"}, string(name))
}

// decoded returns the length of a value in bytes, false when it is not in its
// encoding. Base64 may be that of URLs, with or without padding.
func decoded(v, encoding []byte) (int, bool) {
	switch string(encoding) {
	case "hex":
		n, err := hex.Decode(make([]byte, hex.DecodedLen(len(v))), v)
		return n, err == nil
	case "base64":
		return base64Length(v, true)
	}
	return len(v), true
}

// base64Length returns how many bytes a base64 text holds, false when it is none.
func base64Length(v []byte, padding bool) (int, bool) {
	text := v
	if padding {
		text = bytes.TrimRight(v, "=")
		if cut := len(v) - len(text); cut > 2 || cut > 0 && len(v)%4 != 0 {
			return 0, false
		}
	}
	enc := base64.RawStdEncoding
	if bytes.ContainsAny(text, "-_") {
		enc = base64.RawURLEncoding
	}
	if bytes.ContainsAny(text, "\r\n") { // which the decoder would pass over
		return 0, false
	}
	n, err := enc.Decode(make([]byte, enc.DecodedLen(len(text))), text)
	return n, err == nil
}

// digestLength returns the length of a digest in bytes, 0 for one not known.
func digestLength(name string) int {
	switch name {
	case "md4", "md5":
		return 16
	case "sha1", "ripemd160":
		return 20
	case "sha224":
		return 28
	case "sha256":
		return 32
	case "sha384":
		return 48
	case "sha512", "whirlpool":
		return 64
	}
	return 0
}

// isArgon2 reports whether a PHC string is of argon2, with salt and hash.
func isArgon2(v []byte) bool {
	parts := strings.Split(string(v), "$")
	if len(parts) > 2 && strings.HasPrefix(parts[2], "v=") { // the version may be left out
		parts = slices.Delete(parts, 2, 3)
	}
	if len(parts) != 5 || parts[0] != "" || !slices.Contains([]string{"argon2i", "argon2d", "argon2id"}, parts[1]) {
		return false
	}
	params, ok := phcParams(parts[2])
	if !ok || params["m"] < 1 || params["t"] < 1 || params["p"] < 1 {
		return false
	}
	return isPHCBase64(parts[3]) && isPHCBase64(parts[4])
}

// phcParams reads "name=number" pairs with commas between them. A parameter
// that is no number counts as 0, since PHC allows more than numbers.
func phcParams(s string) (map[string]int, bool) {
	params := make(map[string]int)
	for pair := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, false
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			n = 0
		}
		params[name] = n
	}
	return params, true
}

func isPHCBase64(s string) bool {
	n, ok := base64Length([]byte(s), false)
	return ok && n > 0
}

// pbkdf2 checks a PHC string of PBKDF2.
func (c *checker) pbkdf2(field string, v []byte) {
	const what = "not a pbkdf2 hash with its salt, in base64 without padding"
	parts := strings.Split(string(v), "$")
	if len(parts) < 4 || len(parts) > 5 || parts[0] != "" || !strings.HasPrefix(parts[1], "pbkdf2-") {
		c.refuse(field, rulePBKDF2, what)
		return
	}
	if !isPBKDF2Digest(strings.TrimPrefix(parts[1], "pbkdf2-")) {
		c.refuse(field, rulePBKDF2Digest, "the digest behind pbkdf2- is not known")
		return
	}
	length := 0
	if len(parts) == 5 {
		params, ok := phcParams(parts[2])
		if i, given := params["i"]; !ok || given && i < 1 {
			c.refuse(field, rulePBKDF2, "the parameters are not i= and l= with numbers")
			return
		}
		length = params["l"]
	}
	salt, hash := parts[len(parts)-2], parts[len(parts)-1]
	if !isPHCBase64(salt) || !isPHCBase64(hash) {
		c.refuse(field, rulePBKDF2, what)
		return
	}
	if n, _ := base64Length([]byte(hash), false); length > 0 && n != length {
		c.refuse(field, ruleHashLength, fmt.Sprintf("the hash holds %d bytes and l says %d", n, length))
	}
}

// isPBKDF2Digest reports whether Auth0 lists a digest for PBKDF2. Case is left to Auth0.
func isPBKDF2Digest(name string) bool {
	name = strings.ToLower(name)
	name = strings.TrimPrefix(name, "rsa-")
	name = strings.TrimSuffix(strings.TrimSuffix(name, "withrsaencryption"), "withrsa")
	switch name {
	case "md4", "md5", "mdc2", "ripemd", "ripemd160", "rmd160", "sha1", "sha1-2", "sha224", "sha256", "sha384", "sha512",
		"ssl3-md5", "ssl3-sha1", "whirlpool":
		return true
	}
	return false
}

// ldap checks a hash as RFC 2307 writes it.
func (c *checker) ldap(field string, v []byte) {
	scheme, hash, ok := bytes.Cut(v, []byte("}"))
	if !ok || len(scheme) < 2 || scheme[0] != '{' {
		c.refuse(field, ruleLDAP, "no scheme in braces at the beginning")
		return
	}
	switch name := strings.ToLower(string(scheme[1:])); {
	case name == "md5", name == "smd5", strings.HasPrefix(name, "sha"), strings.HasPrefix(name, "ssha"):
	default:
		c.refuse(field, ruleLDAPScheme, "Auth0 does not take this scheme")
		return
	}
	if n, ok := base64Length(hash, true); !ok || n == 0 {
		c.refuse(field, ruleLDAP, "what follows the scheme is not base64")
	}
}
