package auth0test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Form is the shape of a rejection: its status, its media type and its body.
// Auth0 answers a rejected request in the language of the endpoint, so a client
// that looks for one body only misses most of them.
type Form uint8

// The forms that Auth0 publishes. The first seven belong to endpoints, see
// [FormOf]; the others to limits of their own.
const (
	// FormManagement is the Management API's JSON error.
	FormManagement Form = iota
	// FormAccessDenied is OAuth JSON with the code access_denied.
	FormAccessDenied
	// FormTooManyRequests is OAuth JSON with the code too_many_requests.
	FormTooManyRequests
	// FormText is one line of plain text.
	FormText
	// FormErrorPage is the hosted HTML error page.
	FormErrorPage
	// FormTrust is a WS-Trust fault (SOAP 1.2) under status 429.
	FormTrust
	// FormTrustFault is the same fault under status 500: the one published
	// rejection that is not a 429.
	FormTrustFault
	// FormFederation is a WS-Federation fault (SOAP 1.2).
	FormFederation
	// FormProblem is the problem document of the My Account and My Organization APIs.
	FormProblem
	// FormSCIM is a SCIM error as RFC 7644 lays it out.
	FormSCIM
	// FormEndpoint is OAuth JSON for the bucket of one endpoint group, where
	// FormAccessDenied and FormTooManyRequests speak of the whole API.
	FormEndpoint
	// FormImportJobs rejects an import job while others are running.
	FormImportJobs
	// FormPolicy rejects under a custom policy.
	FormPolicy
	// FormClientQuota rejects a token beyond the quota of an application.
	FormClientQuota
	// FormOrganizationQuota rejects a token beyond the quota of an organization.
	FormOrganizationQuota

	formCount
)

// Forms returns every form.
func Forms() []Form {
	forms := make([]Form, formCount)
	for i := range forms {
		forms[i] = Form(i)
	}
	return forms
}

// String returns the form's name as the report uses it.
func (f Form) String() string {
	switch f {
	case FormManagement:
		return "management"
	case FormAccessDenied:
		return "access_denied"
	case FormTooManyRequests:
		return "too_many_requests"
	case FormText:
		return "text"
	case FormErrorPage:
		return "error_page"
	case FormTrust:
		return "ws_trust"
	case FormTrustFault:
		return "ws_trust_500"
	case FormFederation:
		return "ws_federation"
	case FormProblem:
		return "problem"
	case FormSCIM:
		return "scim"
	case FormEndpoint:
		return "endpoint"
	case FormImportJobs:
		return "import_jobs"
	case FormPolicy:
		return "policy"
	case FormClientQuota:
		return "client_quota"
	case FormOrganizationQuota:
		return "organization_quota"
	}
	return fmt.Sprintf("Form(%d)", uint8(f))
}

// Status returns the form's HTTP status: 500 for FormTrustFault, else 429.
func (f Form) Status() int {
	if f == FormTrustFault {
		return http.StatusInternalServerError
	}
	return http.StatusTooManyRequests
}

// ContentType returns the media type of the form's body.
func (f Form) ContentType() string {
	switch f {
	case FormText:
		return "text/plain; charset=utf-8"
	case FormErrorPage:
		return "text/html; charset=utf-8"
	case FormTrust, FormTrustFault, FormFederation:
		return "application/soap+xml; charset=utf-8"
	case FormProblem:
		return "application/problem+json"
	case FormSCIM:
		return "application/scim+json"
	}
	return "application/json; charset=utf-8"
}

// The fixed words of the published bodies, restated from the policy texts.
const (
	globalExceeded = "Global rate limit exceeded"
	limitsPage     = "https://auth0.com/docs/policies/rate-limits"
)

// Body returns the form's body.
func (f Form) Body() []byte {
	switch f {
	case FormAccessDenied:
		return oauthBody("access_denied", globalExceeded, limitsPage)
	case FormTooManyRequests:
		return oauthBody("too_many_requests", globalExceeded, limitsPage)
	case FormEndpoint:
		return oauthBody("too_many_requests", "Rate limit exceeded. Please retry after some time.", "")
	case FormPolicy:
		return oauthBody("too_many_requests", "Rate limit exceeded.", "")
	case FormClientQuota:
		return oauthBody("too_many_requests", "Client quota exceeded", "")
	case FormOrganizationQuota:
		return oauthBody("too_many_requests", "Organization quota exceeded", "")
	case FormText:
		return []byte("Rate limit exceed")
	case FormErrorPage:
		return []byte("<!DOCTYPE html>\n<html><head><title>Error</title></head>" +
			"<body><h1>Oops!, something went wrong</h1><p>" + globalExceeded + "</p></body></html>\n")
	case FormTrust, FormTrustFault:
		return soapFault("wst", "http://docs.oasis-open.org/ws-sx/ws-trust/200512", "RequestFailed")
	case FormFederation:
		return soapFault("fed", "http://docs.oasis-open.org/wsfed/federation/200706", "BadRequest")
	case FormProblem:
		return mustJSON(map[string]any{
			"type":   "https://auth0.com/api-errors#A0E-429-0003",
			"status": http.StatusTooManyRequests,
			"title":  "Endpoint Rate Limit Exceeded",
			"detail": "The endpoint request limit has been exceeded.",
		})
	case FormSCIM:
		return mustJSON(map[string]any{
			"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:Error"},
			"status":  "429",
			"detail":  globalExceeded,
		})
	case FormImportJobs:
		return importJobsBody(2)
	}
	return mustJSON(apiError{
		StatusCode: http.StatusTooManyRequests,
		Error:      "Too Many Requests",
		Message:    "Too many requests. Check the X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset headers.",
		ErrorCode:  "too_many_requests",
	})
}

// importJobsBody is the answer to an import job beyond n active ones.
func importJobsBody(n int) []byte {
	return mustJSON(apiError{
		StatusCode: http.StatusTooManyRequests,
		Error:      "Too Many Requests",
		Message:    fmt.Sprintf("There are %d active import users jobs, please wait until some of them are finished and try again", n),
	})
}

func oauthBody(code, description, uri string) []byte {
	return mustJSON(oauthError{Error: code, Description: description, URI: uri})
}

func soapFault(prefix, namespace, code string) []byte {
	return []byte(`<?xml version="1.0" encoding="utf-8"?>` +
		`<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope" xmlns:` + prefix + `="` + namespace + `">` +
		`<env:Body><env:Fault>` +
		`<env:Code><env:Value>env:Sender</env:Value><env:Subcode><env:Value>` + prefix + `:` + code + `</env:Value></env:Subcode></env:Code>` +
		`<env:Reason><env:Text xml:lang="en">` + globalExceeded + `</env:Text></env:Reason>` +
		`<env:Detail></env:Detail>` +
		`</env:Fault></env:Body></env:Envelope>`)
}

// FormOf returns the form in which an endpoint rejects a request when the
// bucket of its whole API is empty. The path is one as sent, without the query.
// The 150 endpoints of the published policy have the forms published there; the
// APIs that came later answer in JSON of their own.
func FormOf(path string) Form {
	segs := splitPath(path)
	switch first(segs) {
	case "api":
		return FormManagement
	case "me", "my-org":
		return FormProblem
	case "scim":
		return FormSCIM
	}
	for _, f := range publishedForms {
		for path := range strings.FieldsSeq(f.paths) {
			if _, ok := splitPattern(path).match(segs); ok {
				return f.form
			}
		}
	}
	return FormTooManyRequests
}

func first(segs []string) string {
	if len(segs) == 0 {
		return ""
	}
	return segs[0]
}

// publishedForms lists the paths of the published policy by their form. The
// first match counts, so literal paths stand before the patterns that would
// cover them.
var publishedForms = [...]struct {
	form  Form
	paths string
}{
	{FormText, `/samlp/metadata /samlp/metadata/{client} /samlp/idp/slo /aws-saml/metadata
		/tokeninfo /userinfo /.well-known/jwks.json /user/ssodata /drwatson /co/verify
		/i/login/sso/{provider} /p/{strategy}/{ticket} /p/{strategy}/{ticket}/info`},
	{FormErrorPage, `/samlp/{client}/logout`},
	{FormText, `/samlp/{client} /cer /cer/{client} /pb7 /pb7/{client} /pem /pem/{client} /rawpem /rawpem/{client}`},
	{FormFederation, `/FederationMetadata/2007-06/FederationMetadata.xml
		/adfs/fs/federationserverservice.asmx /rms/{client}/adfs/fs/federationserverservice.asmx`},
	{FormTooManyRequests, `/rms/{client}/FederationMetadata/2007-06/FederationMetadata.xml
		/dbconnections/* /delegation /passwordless/start /passwordless/verify /usernamepassword/login
		/changepwd/completed /changepwd/reset /custom-login/preview /state/introspect /unlink /users/{id}/impersonate`},
	{FormAccessDenied, `/oauth/device/code /oauth/ro /oauth/token /oauth/introspect /oauth/access_token /oauth/reverse
		/oauth/revoke /co/authenticate /mfa/associate /mfa/authenticators /mfa/authenticators/{id} /mfa/challenge
		/sso_dbconnection_popup/{client} /i/oauth2/authorize /apple-app-site-association
		/.well-known/openid-configuration /.well-known/apple-app-site-association /.well-known/assetlinks.json`},
	{FormErrorPage, `/u/* /authorize /passwordless/verify_redirect /activate /decision /rms /wsfed /wsfed/*
		/changepwd/form /continue /i/login /login /login/callback /logout /v2/logout /mf /unblock`},
	{FormTrust, `/{client}/trust/mex`},
	{FormTrustFault, `/{client}/trust/usernamemixed`},
}

// mustJSON encodes a value that cannot fail to encode.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("auth0test: " + err.Error())
	}
	return b
}
