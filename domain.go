package auth0

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// parseDomain reads the domain of a tenant: bare or with https://, or with
// http:// where it is a loopback address. The result has a scheme and a host and
// nothing else.
func parseDomain(domain string) (*url.URL, error) {
	const remedy = `use the tenant's domain alone, as in "example.eu.auth0.com"`
	if domain == "" {
		return nil, errors.New("auth0: the domain is empty; " + remedy)
	}
	scheme, rest := "https", domain
	if before, after, ok := strings.Cut(domain, "://"); ok {
		scheme, rest = strings.ToLower(before), after
		if scheme != "https" && scheme != "http" {
			return nil, errors.New("auth0: the domain has an unknown scheme; use https, or leave it out")
		}
	}
	// What is wrong is named, but never printed: a URL pasted by mistake may
	// hold a password or a token.
	for i := range len(rest) {
		switch c := rest[i]; {
		case c == '/' || c == '\\':
			return nil, errors.New("auth0: the domain has a path or a slash at its end; " + remedy)
		case c == '?' || c == '#':
			return nil, errors.New("auth0: the domain has a query or a fragment; " + remedy)
		case c == '@':
			return nil, errors.New("auth0: the domain has a user name; " + remedy)
		case c <= ' ' || c == 0x7f:
			return nil, errors.New("auth0: the domain has spaces or control characters; " + remedy)
		case c >= 0x80:
			return nil, errors.New("auth0: the domain has characters beyond ASCII; use its ASCII form, which begins with xn--")
		}
	}
	host, port, err := splitPort(rest)
	if err != nil {
		return nil, err
	}
	host = strings.ToLower(host)
	loopback := host == "localhost"
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return nil, errors.New("auth0: the domain is an address with a zone; leave the zone out")
		}
		loopback = addr.IsLoopback()
		host = addr.String()
	} else if !loopback {
		if err := checkHostname(host); err != nil {
			return nil, err
		}
	}
	if scheme == "http" && !loopback {
		return nil, errors.New("auth0: http is for loopback addresses only (127.0.0.1, ::1, localhost); use https, or leave the scheme out")
	}
	if port != "" {
		host = net.JoinHostPort(host, port)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return &url.URL{Scheme: scheme, Host: host}, nil
}

// splitPort takes the port off, and the brackets of an IPv6 address.
func splitPort(hostport string) (host, port string, err error) {
	host, hasPort := hostport, false
	if strings.HasPrefix(host, "[") {
		inner, after, ok := strings.Cut(host[1:], "]")
		if addr, err := netip.ParseAddr(inner); !ok || err != nil || !addr.Is6() {
			return "", "", errors.New("auth0: the domain has brackets that hold no IPv6 address")
		}
		host = inner
		if after != "" {
			if after[0] != ':' {
				return "", "", errors.New("auth0: the domain goes on after its address; only a port may follow")
			}
			port, hasPort = after[1:], true
		}
	} else if strings.Count(host, ":") == 1 {
		host, port, hasPort = strings.Cut(host, ":")
	} else if strings.Contains(host, ":") {
		return "", "", errors.New("auth0: the domain has several colons; put an IPv6 address in brackets")
	}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '0' {
			return "", "", errors.New("auth0: the domain's port is not a number from 1 to 65535; leave it out for the default")
		}
	}
	return host, port, nil
}

func checkHostname(host string) error {
	if len(host) > 253 {
		return errors.New("auth0: the domain is longer than 253 characters")
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("auth0: the domain has an empty or malformed part between its dots")
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return fmt.Errorf("auth0: the domain has the character %q, which host names cannot have", c)
			}
		}
	}
	if len(labels) == 1 {
		return errors.New(`auth0: the domain is a single word; give it in full, as in "example.eu.auth0.com"`)
	}
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		return errors.New("auth0: the domain ends in a number but is no IP address")
	}
	return nil
}
