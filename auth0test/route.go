package auth0test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one operation of the tenant. A resource lives in one file, which
// ends in a function that lists its routes.
type route struct {
	method string
	path   string
	// scopes are those of which the token needs one; none for operations that
	// take no Management API token.
	scopes []string
	serve  func(*Tenant, *call) answer

	split pattern
}

// routes returns the operations that keep state. The first match counts.
func routes() []route {
	all := slices.Concat(tokenRoutes(), userRoutes(), connectionRoutes(), jobRoutes())
	for i := range all {
		all[i].split = splitPattern(all[i].path)
	}
	return all
}

// act carries out a request that the limits let pass.
func (t *Tenant) act(c *call) answer {
	for i := range t.routes {
		r := &t.routes[i]
		if r.method != c.method {
			continue
		}
		params, ok := r.split.match(c.segs)
		if !ok {
			continue
		}
		if len(r.scopes) > 0 {
			if denied := t.authorize(c, r.scopes); denied != nil {
				return *denied
			}
		}
		c.params = params
		return r.serve(t, c)
	}
	if first(c.segs) == "api" {
		if denied := t.authorize(c, nil); denied != nil {
			return *denied
		}
		return failure(http.StatusNotFound, "", "Not Found")
	}
	if strings.Contains(c.header.Get("Accept"), "text/html") {
		return answer{
			status: http.StatusNotFound,
			header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
			body:   []byte("<!DOCTYPE html>\n<html><head><title>Not Found</title></head><body><h1>Not Found</h1></body></html>\n"),
		}
	}
	return failure(http.StatusNotFound, "", "Not Found")
}

// redirect sends a browser to a custom error page.
func redirect(page string) answer {
	target := page
	if u, err := url.Parse(page); err == nil {
		q := u.Query()
		q.Set("error", "too_many_requests")
		q.Set("error_description", globalExceeded)
		u.RawQuery = q.Encode()
		target = u.String()
	}
	return answer{status: http.StatusFound, header: http.Header{"Location": {target}}}
}
