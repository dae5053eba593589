package auth0test

import (
	"bufio"
	"encoding/xml"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// publishedRow is one row of the free-subscriber policy.
type publishedRow struct {
	method, path, form string
	status             int
}

func publishedRows(t *testing.T) []publishedRow {
	t.Helper()
	f, err := os.Open("testdata/rejections.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var rows []publishedRow
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		c := strings.Split(s.Text(), "\t")
		status, err := strconv.Atoi(c[3])
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, publishedRow{c[0], c[1], c[2], status})
	}
	if len(rows) != 150 {
		t.Fatalf("%d rows, want 150", len(rows))
	}
	return rows
}

// fill puts something into the braces of a path.
func fill(path string) string {
	segs := strings.Split(path, "/")
	for i, s := range segs {
		if isBrace(s) {
			segs[i] = "some%7Cvalue"
		}
	}
	return strings.Join(segs, "/")
}

type soapFaultDoc struct {
	XMLName xml.Name
	Value   string `xml:"Body>Fault>Code>Value"`
	Subcode string `xml:"Body>Fault>Code>Subcode>Value"`
	Text    struct {
		Lang string `xml:"http://www.w3.org/XML/1998/namespace lang,attr"`
		Text string `xml:",chardata"`
	} `xml:"Body>Fault>Reason>Text"`
	Detail string `xml:"Body>Fault>Detail"`
}

// Each of the 150 published endpoints rejects in its own form, with the rate
// limit headers.
func TestPublishedRejections(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tenant := mustTenant(t, Options{
		Plan: plan(global(bucket("Authentication API", 300, 300, time.Minute, "*", "/*"))), Clock: clock.Now, Empty: 1,
	})
	for _, row := range publishedRows(t) {
		r := send(t, tenant, row.method, fill(row.path), "")
		at := row.method + " " + row.path
		if r.status != row.status {
			t.Errorf("%s: status %d, want %d", at, r.status, row.status)
		}
		if got, want := r.limits(), [3]int64{300, 0, 1}; got != want { // a token each 200 ms
			t.Errorf("%s: limit, remaining, reset %v, want %v", at, got, want)
		}
		form, code, _ := strings.Cut(row.form, ":")
		switch form {
		case "json":
			doc := r.doc(t)
			if doc["error"] != code || doc["error_description"] != "Global rate limit exceeded" || !strings.HasPrefix(doc["error_uri"].(string), "https://") {
				t.Errorf("%s: body %s", at, r.body)
			}
			if got := r.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
				t.Errorf("%s: Content-Type %q", at, got)
			}
		case "text":
			if r.body != "Rate limit exceed" || !strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") {
				t.Errorf("%s: %q as %s", at, r.body, r.header.Get("Content-Type"))
			}
		case "error_page":
			if !strings.HasPrefix(r.body, "<!DOCTYPE html>") || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
				t.Errorf("%s: %q as %s", at, r.body, r.header.Get("Content-Type"))
			}
		case "xml":
			var doc soapFaultDoc
			if err := xml.Unmarshal([]byte(r.body), &doc); err != nil {
				t.Errorf("%s: %v", at, err)
			}
			if doc.XMLName.Local != "Envelope" || doc.XMLName.Space != "http://www.w3.org/2003/05/soap-envelope" ||
				doc.Value != "env:Sender" || doc.Subcode != code || doc.Text.Text != "Global rate limit exceeded" ||
				doc.Text.Lang != "en" || doc.Detail != "" {
				t.Errorf("%s: fault %+v", at, doc)
			}
		default:
			t.Errorf("%s: unknown form %q", at, row.form)
		}
	}
	if got, want := tenant.Report().Rejected, int64(150); got != want {
		t.Errorf("%d rejections reported, want %d", got, want)
	}
	report := tenant.Report()
	for form, want := range map[string]int64{
		"error_page": 76, "too_many_requests": 25, "access_denied": 20, "text": 22, "ws_trust": 1, "ws_trust_500": 1, "ws_federation": 5,
	} {
		if got := report.RejectedByForm[form]; got != want {
			t.Errorf("%d rejections in the form %s, want %d", got, form, want)
		}
	}
}

// Parameters that the policy prints as optional may be left out.
func TestOptionalParameters(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/cer", "/pb7", "/pem", "/rawpem"} {
		if got := FormOf(path); got != FormText {
			t.Errorf("%s: %v, want text", path, got)
		}
	}
}

func TestFormsBesideThePolicy(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]Form{
		"/api/v2/users":                      FormManagement,
		"/api/v2/users/auth0%7C1":            FormManagement,
		"/me/v1/authentication-methods":      FormProblem,
		"/my-org/v1/members":                 FormProblem,
		"/scim/v2/connections/con_1/Users":   FormSCIM,
		"/oauth/par":                         FormTooManyRequests,
		"/bc-authorize":                      FormTooManyRequests,
		"/oidc/register":                     FormTooManyRequests,
		"/u/passwordless-email-challenge":    FormErrorPage,
		"/u/reset-password/request/Database": FormErrorPage,
	} {
		if got := FormOf(path); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}

// The bucket of an endpoint does not claim that the API's limit is gone.
func TestEndpointRejection(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{Plan: plan(
		bucket("token", 0, 1, time.Hour, "POST", "/oauth/token"),
		bucket("login", 0, 1, time.Hour, "GET", "/u/login"),
	)})
	doc := send(t, tenant, "POST", "/oauth/token", "{}").doc(t)
	if doc["error"] != "too_many_requests" || doc["error_description"] != "Rate limit exceeded. Please retry after some time." {
		t.Errorf("body %v", doc)
	}
	if r := send(t, tenant, "GET", "/u/login", ""); !strings.HasPrefix(r.body, "<!DOCTYPE html>") {
		t.Errorf("body %s", r.body)
	}
}

func TestProblemForm(t *testing.T) {
	t.Parallel()
	doc := reply{body: string(FormProblem.Body())}.doc(t)
	if doc["type"] != "https://auth0.com/api-errors#A0E-429-0003" || doc["status"] != 429.0 ||
		doc["title"] != "Endpoint Rate Limit Exceeded" || doc["detail"] != "The endpoint request limit has been exceeded." {
		t.Errorf("body %v", doc)
	}
}

func TestCustomErrorPage(t *testing.T) {
	t.Parallel()
	tenant := mustTenant(t, Options{
		Plan:      plan(global(bucket("api", 0, 1, time.Second, "*", "/*"))),
		ErrorPage: "https://brand.example/oops?lang=en",
	})
	r := send(t, tenant, "GET", "/authorize", "")
	u, err := url.Parse(r.header.Get("Location"))
	if err != nil || r.status != http.StatusFound {
		t.Fatalf("status %d, Location %q", r.status, r.header.Get("Location"))
	}
	if q := u.Query(); u.Host != "brand.example" || q.Get("lang") != "en" || q.Get("error_description") != "Global rate limit exceeded" {
		t.Errorf("Location %q", u)
	}
	if r.limits()[0] != 0 {
		t.Errorf("no rate limit headers: %v", r.header)
	}
	if r := send(t, tenant, "GET", "/userinfo", ""); r.status != 429 {
		t.Errorf("other forms are redirected too: %d", r.status)
	}
	if got := tenant.Report(); got.Rejected != 2 || got.RejectedByForm["error_page"] != 1 {
		t.Errorf("report %+v", got)
	}
}

func TestEveryFormHasItsName(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, f := range Forms() {
		name := f.String()
		if seen[name] || strings.HasPrefix(name, "Form(") {
			t.Errorf("form %d is called %q", uint8(f), name)
		}
		seen[name] = true
		if len(f.Body()) == 0 || f.ContentType() == "" {
			t.Errorf("%v has no body or media type", f)
		}
		if want := map[bool]int{true: 500, false: 429}[f == FormTrustFault]; f.Status() != want {
			t.Errorf("%v: status %d, want %d", f, f.Status(), want)
		}
	}
	if got := Form(200).String(); got != "Form(200)" {
		t.Errorf("an unknown form is called %q", got)
	}
}
