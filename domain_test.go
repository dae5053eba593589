package auth0_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/headroom-go/auth0"
)

func TestDomains(t *testing.T) {
	t.Parallel()
	for domain, want := range map[string]string{
		"example.eu.auth0.com":          "https://example.eu.auth0.com",
		"https://example.eu.auth0.com":  "https://example.eu.auth0.com",
		"HTTPS://Example.EU.auth0.com":  "https://example.eu.auth0.com",
		"login.example.com":             "https://login.example.com",
		"xn--bcher-kva.example.com":     "https://xn--bcher-kva.example.com",
		"example.auth0.com:8443":        "https://example.auth0.com:8443",
		"localhost":                     "https://localhost",
		"http://localhost:3000":         "http://localhost:3000",
		"http://127.0.0.1:8080":         "http://127.0.0.1:8080",
		"http://127.9.8.7":              "http://127.9.8.7",
		"http://[::1]:8080":             "http://[::1]:8080",
		"http://[::1]":                  "http://[::1]",
		"https://[0:0:0:0:0:0:0:1]:443": "https://[::1]:443",
		"https://10.0.0.1":              "https://10.0.0.1",
	} {
		c, err := auth0.New(domain)
		if err != nil || c.BaseURL() != want {
			t.Errorf("%s: %v, want %s", domain, err, want)
		}
	}
	for domain, remedy := range map[string]string{
		"":                                 "tenant's domain alone",
		"example":                          "single word",
		"http://example.auth0.com":         "use https",
		"http://128.0.0.1":                 "use https",
		"http://localhost.example.com":     "use https",
		"http://127.0.0.1.example.com":     "use https",
		"ftp://example.auth0.com":          "unknown scheme",
		"https://example.auth0.com/":       "path or a slash",
		"https://example.auth0.com/api/v2": "path or a slash",
		"example.auth0.com?x":              "query",
		"example.auth0.com#x":              "query or a fragment",
		"user:pass@example.auth0.com":      "user name",
		"https://user@example.auth0.com":   "user name",
		" example.auth0.com":               "spaces",
		"example.auth0.com\n":              "spaces",
		"exa mple.auth0.com":               "spaces",
		"example.auth0.com:":               "port",
		"example.auth0.com:0":              "port",
		"example.auth0.com:080":            "port",
		"example.auth0.com:http":           "port",
		"example.auth0.com:65536":          "port",
		"example.auth0.com:-1":             "port",
		"example.auth0.com:1:2":            "several colons",
		"::1":                              "several colons",
		"[::1":                             "brackets",
		"[127.0.0.1]":                      "brackets",
		"[::1]x":                           "only a port",
		"[::1%25lo]":                       "has the character",
		"[fe80::1%lo]":                     "zone",
		"bücher.example.com":               "xn--",
		"example..com":                     "empty or malformed",
		".example.com":                     "empty or malformed",
		"example.com.":                     "empty or malformed",
		"-a.example.com":                   "empty or malformed",
		"a_b.example.com":                  "character",
		"a*b.example.com":                  "character",
		"256.1.1.1":                        "no IP address",
		"127.1":                            "no IP address",
		"https://https://example.com":      "path or a slash",
		strings.Repeat("a", 64) + ".com":   "malformed",
		strings.Repeat("abc.", 64) + "com": "longer than 253",
	} {
		c, err := auth0.New(domain)
		switch {
		case domain == "[::1%25lo]":
			if err == nil {
				t.Errorf("%q: accepted as %s", domain, c)
			}
		case err == nil:
			t.Errorf("%q: accepted as %s", domain, c.BaseURL())
		case !strings.Contains(err.Error(), remedy):
			t.Errorf("%q: %v, want it to speak of %q", domain, err, remedy)
		case strings.Contains(err.Error(), "pass"):
			t.Errorf("the error shows a password: %v", err)
		}
	}
}

// Whatever is accepted is a scheme and a host and nothing else, and plain http
// stays on this machine.
func FuzzDomain(f *testing.F) {
	for _, s := range []string{"example.eu.auth0.com", "https://x.y", "http://127.0.0.1:80", "http://[::1]:9", "http://[::ffff:127.0.0.1]", "x.y:1", "a@b.c", "x.y/%2e%2e", "http://0x7f.1", "http://localhost%00.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, domain string) {
		c, err := auth0.New(domain)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		u, err := url.Parse(c.BaseURL())
		if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Host != c.Domain() {
			t.Fatalf("%q became %q, %v", domain, c.BaseURL(), err)
		}
		switch u.Scheme {
		case "https":
		case "http":
			addr, err := netip.ParseAddr(u.Hostname())
			if u.Hostname() != "localhost" && (err != nil || !addr.Unmap().IsLoopback()) {
				t.Fatalf("%q: plain http to %s", domain, u.Host)
			}
		default:
			t.Fatalf("%q: scheme %s", domain, u.Scheme)
		}
		again, err := auth0.New(c.BaseURL())
		if err != nil || again.BaseURL() != c.BaseURL() {
			t.Errorf("%q: %q is not accepted again: %v", domain, c.BaseURL(), err)
		}
	})
}
