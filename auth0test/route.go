package auth0test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// handlers are functions that answer operations, by method and path as the
// description heads them. A resource lives in one file; kinds of objects with
// nothing special about them get their handlers from store.go.
type handlers map[string]func(*Tenant, *call) answer

// handled returns the handlers of all resources.
func handled() handlers {
	all := handlers{}
	for _, h := range []handlers{
		userHandlers(), userLinkHandlers(), roleHandlers(), organizationHandlers(), organizationClientHandlers(), clientHandlers(), connectionHandlers(),
		clientGrantHandlers(), logHandlers(), jobHandlers(), accessHandlers(),
	} {
		maps.Copy(all, h)
	}
	return all
}

// act carries out a request that the limits let pass, and logs it.
func (t *Tenant) act(c *call) answer {
	if c.method == http.MethodGet && len(c.segs) == 2 && c.segs[0] == exportSegment {
		return t.export(c)
	}
	if serve := c.endpoint(); serve != nil {
		t.forgetOld(c.now)
		a := serve(t, c)
		if c.method == http.MethodPost && c.path == "/oauth/token" {
			t.log(c, a)
		}
		return a
	}
	c.op, c.params = describe().find(c)
	if c.op != nil {
		a := t.manage(c)
		t.log(c, a)
		return a
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

// endpoint returns what answers a request to the Authentication API, nil where
// there is no such endpoint.
func (c *call) endpoint() func(*Tenant, *call) answer {
	if first(c.segs) == "api" {
		return nil
	}
	if len(c.segs) == 3 && c.method == http.MethodDelete && c.segs[0] == "mfa" && c.segs[1] == "authenticators" {
		return (*Tenant).deleteAuthenticator
	}
	switch c.method + " /" + strings.Join(c.segs, "/") {
	case "GET /.well-known/openid-configuration", "GET /.well-known/oauth-authorization-server":
		return (*Tenant).configuration
	case "GET /.well-known/jwks.json":
		return (*Tenant).keySet
	case "GET /pem":
		return (*Tenant).certificate
	case "POST /oidc/register":
		return (*Tenant).register
	case "GET /authorize", "POST /authorize":
		return (*Tenant).authorizeEndpoint
	case "GET " + loginPath:
		return (*Tenant).loginPage
	case "POST " + loginPath:
		return (*Tenant).logIn
	case "GET " + factorPath:
		return (*Tenant).factorPage
	case "POST " + factorPath:
		return (*Tenant).checkFactor
	case "GET /v2/logout":
		return (*Tenant).logout
	case "GET /oidc/logout", "POST /oidc/logout":
		return (*Tenant).oidcLogout
	case "POST /oauth/par":
		return (*Tenant).push
	case "POST /oauth/token":
		return (*Tenant).issueToken
	case "POST /oauth/revoke":
		return (*Tenant).revoke
	case "GET /userinfo", "POST /userinfo":
		return (*Tenant).userInfo
	case "POST /oauth/device/code":
		return (*Tenant).authorizeDevice
	case "POST /bc-authorize":
		return (*Tenant).authorizeBackchannel
	case "POST /mfa/challenge":
		return (*Tenant).challengeFactor
	case "POST /mfa/associate":
		return (*Tenant).associate
	case "GET /mfa/authenticators":
		return (*Tenant).authenticators
	case "POST /passwordless/start":
		return (*Tenant).startPasswordless
	case "POST /otp/challenge":
		return (*Tenant).challengeUser
	case "POST /dbconnections/signup":
		return (*Tenant).signUp
	case "POST /dbconnections/change_password":
		return (*Tenant).changePassword
	}
	return nil
}

// manage carries out an operation of the Management API.
func (t *Tenant) manage(c *call) answer {
	if denied := t.authorize(c, c.op.scopes); denied != nil {
		return *denied
	}
	if bad := c.arguments(); bad != nil {
		return *bad
	}
	if q := c.query.Get("q"); q != "" {
		search, err := parseSearch(q)
		if err != nil {
			return failure(http.StatusBadRequest, "invalid_query_string", err.Error())
		}
		c.search = search
	}
	if c.op.serve == nil {
		return t.sample(c)
	}
	if noun := c.op.owner; noun != "" {
		if bad := t.absent(noun, c.argument(0), http.StatusNotFound); bad != nil {
			return *bad
		}
	}
	return c.op.serve(t, c)
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
