package exporter_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/auth0test"
	"github.com/headroom-go/auth0/exporter"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const (
	secret     = "secret-token-of-the-tenant"
	filesHost  = "files.example.net"
	partners   = "con_Partners00000000"
	tenantHost = "tenant.example.com"
)

// newTenant returns a tenant whose links lead to another host, as real ones do, and a
// client of it.
func newTenant(t *testing.T) (*auth0test.Tenant, *auth0.Client) {
	t.Helper()
	tenant := auth0test.MustNew(auth0test.Options{
		Domain: tenantHost, Tokens: []string{secret}, JobTime: 3 * time.Second,
		Connections: []auth0test.Connection{{Name: auth0test.DefaultConnection}, {ID: partners, Name: "Partners"}},
	})
	api := roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := tenant.RoundTrip(r)
		if err != nil || r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/api/v2/jobs/") {
			return resp, err
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(strings.NewReader(strings.ReplaceAll(string(text), "https://"+tenantHost+"/", "https://"+filesHost+"/")))
		resp.Header.Del("Content-Length")
		resp.ContentLength = -1
		return resp, err
	})
	return tenant, newClient(t, api)
}

func newClient(t *testing.T, api http.RoundTripper) *auth0.Client {
	t.Helper()
	client, err := auth0.New(tenantHost, auth0.WithToken(secret), auth0.WithHTTPClient(&http.Client{Transport: api}))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// addUsers makes n users, every fifth of them in the connection Partners.
func addUsers(t *testing.T, client *auth0.Client, n int) {
	t.Helper()
	for i := range n {
		connection := auth0test.DefaultConnection
		if i%5 == 4 {
			connection = "Partners"
		}
		_, err := auth0.Call[auth0.NoContent](t.Context(), client, http.MethodPost, "/api/v2/users", nil, nil, map[string]any{
			"connection": connection, "email": fmt.Sprintf("u%d@example.com", i), "password": "made-up-" + strconv.Itoa(i),
			"name": fmt.Sprintf("Quoted \"%d\"\nof two lines, one comma", i), "user_metadata": map[string]any{"n": i, "plan": "p" + strconv.Itoa(i%3)},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// storage is where the files of exports lie. It asks the tenant for them, which
// checks the links.
type storage struct {
	tenant *auth0test.Tenant
	ranges bool // understand Range
	etag   string
	// breaks is after how many bytes of its body each answer breaks, in order;
	// -1 and those after the last are whole.
	breaks []int
	how    error

	mu       sync.Mutex
	requests []*http.Request
	statuses []int
}

func (s *storage) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.requests)
	s.requests = append(s.requests, r)
	resp, err := s.tenant.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	file, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	if from, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && s.ranges && resp.StatusCode == http.StatusOK &&
		(r.Header.Get("If-Range") == "" || r.Header.Get("If-Range") == s.etag) {
		at, err := strconv.Atoi(strings.TrimSuffix(from, "-"))
		if err != nil {
			return nil, err
		}
		resp.StatusCode = http.StatusPartialContent
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, len(file)-1, len(file)))
		if at >= len(file) {
			resp.StatusCode = http.StatusRequestedRangeNotSatisfiable
			resp.Header.Set("Content-Range", fmt.Sprintf("bytes */%d", len(file)))
			at = len(file)
		}
		file = file[at:]
	}
	s.statuses = append(s.statuses, resp.StatusCode)
	if s.etag != "" {
		resp.Header.Set("ETag", s.etag)
	}
	var body io.Reader = bytes.NewReader(file)
	if n < len(s.breaks) && s.breaks[n] >= 0 {
		body = io.MultiReader(bytes.NewReader(file[:min(len(file), s.breaks[n])]), &broken{r.Context(), s.how})
	}
	resp.Body = io.NopCloser(body)
	return resp, nil
}

// broken is a connection that breaks, or without an error says nothing more.
type broken struct {
	ctx context.Context //nolint:containedctx // a body lives as long as its request
	err error
}

func (b *broken) Read([]byte) (int, error) {
	if b.err == nil {
		<-b.ctx.Done()
		return 0, b.ctx.Err()
	}
	return 0, b.err
}

func (s *storage) client() *http.Client { return &http.Client{Transport: s} }

func TestRun(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		o    exporter.Options
		want int // users
	}{
		{"all", exporter.Options{}, 50},
		{"by name", exporter.Options{Connection: "Partners"}, 10},
		{"by id", exporter.Options{Connection: partners}, 10},
		{"limit", exporter.Options{Limit: 7}, 7},
		{"fields", exporter.Options{Fields: []exporter.Field{{Name: "email"}, {Name: "user_metadata.n", As: "n"}}}, 50},
		{"importable", exporter.Options{Fields: exporter.Importable()}, 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tenant, client := newTenant(t)
				addUsers(t, client, 50)
				files := &storage{tenant: tenant}
				tt.o.Download = files.client()
				var stages []string
				tt.o.Progress = func(p exporter.Progress) {
					if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
						stages = append(stages, p.Stage)
					}
				}
				var out bytes.Buffer
				r, err := exporter.Run(t.Context(), client, &out, tt.o)
				if err != nil {
					t.Fatal(err)
				}
				if r.Users != int64(tt.want) || r.Bytes != int64(out.Len()) || r.Links != 1 || r.JobID == "" || r.Elapsed < 3*time.Second {
					t.Errorf("%+v of %d bytes, want %d users", r, out.Len(), tt.want)
				}
				if want := []string{exporter.StageExporting, exporter.StageDownloading, exporter.StageDone}; !slices.Equal(stages, want) {
					t.Errorf("stages %q, want %q", stages, want)
				}
				d, n := json.NewDecoder(&out), 0
				for ; d.More(); n++ {
					var u struct {
						Email    string
						N        *int
						Metadata struct{ N *int } `json:"user_metadata"`
					}
					if err := d.Decode(&u); err != nil {
						t.Fatal(err)
					}
					i := n
					if tt.o.Connection != "" {
						i = 5*n + 4
					}
					at := u.Metadata.N
					if tt.name == "fields" {
						at = u.N
					}
					if want := fmt.Sprintf("u%d@example.com", i); u.Email != want || at == nil || *at != i {
						t.Fatalf("user %d is %+v, want %s", n, u, want)
					}
				}
				if n != tt.want {
					t.Errorf("%d lines, want %d", n, tt.want)
				}
			})
		})
	}
}

func TestCSV(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant, client := newTenant(t)
		addUsers(t, client, 20)
		var out bytes.Buffer
		r, err := exporter.Run(t.Context(), client, &out, exporter.Options{
			Format: exporter.CSV, Fields: []exporter.Field{{Name: "email"}, {Name: "name"}, {Name: "user_metadata.plan", As: "plan"}},
			Download: (&storage{tenant: tenant}).client(),
		})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(rows) != 21 || r.Users != 20 { // names have lines and quotes of their own
			t.Fatalf("%d rows, %+v, %v; want 20 users and a header", len(rows), r, err)
		}
		for i, row := range rows {
			want := []string{"email", "name", "plan"}
			if i > 0 {
				want = []string{fmt.Sprintf("u%d@example.com", i-1), fmt.Sprintf("Quoted \"%d\"\nof two lines, one comma", i-1), "p" + strconv.Itoa((i-1)%3)}
			}
			if !slices.Equal(row, want) {
				t.Errorf("row %d is %q, want %q", i, row, want)
			}
		}
	})
}

// A link is 61 s old before it is used: it leads nowhere, and the job is asked for a
// fresh one.
func TestLinkExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant, client := newTenant(t)
		addUsers(t, client, 10)
		files := &storage{tenant: tenant}
		late := newClient(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := client.Transport().Base.RoundTrip(r)
			if r.Method == http.MethodGet && len(files.requests) == 0 {
				time.Sleep(61 * time.Second) // the answer, with the link in it
			}
			return resp, err
		}))
		var out bytes.Buffer
		r, err := exporter.Run(t.Context(), late, &out, exporter.Options{Download: files.client()})
		if err != nil || r.Users != 10 || r.Links != 2 || !slices.Equal(files.statuses, []int{http.StatusForbidden, http.StatusOK}) {
			t.Errorf("%+v, %v, statuses %v", r, err, files.statuses)
		}
	})
}

func TestDownloadBreaks(t *testing.T) {
	t.Parallel()
	reset := &storageFault{"reset", syscall.ECONNRESET}
	for _, fault := range []*storageFault{reset, {"cut", io.ErrUnexpectedEOF}, {"silence", nil}} {
		for _, tt := range []struct {
			name   string
			ranges bool
			etag   string
			breaks []int
			links  int
		}{
			{"range", true, "", []int{100, 1, 300}, 4},
			{"range with a tag", true, `"abc"`, []int{100, 1, 300}, 4},
			{"begins anew", false, "", []int{100, 150, 300}, 4},
			{"breaks while it begins anew", false, "", []int{200, 50, 100, 300}, 5},
			{"before the first byte", true, "", []int{0, 0, 5}, 4},
			{"after the last byte", true, "", []int{1 << 30}, 2},
			{"after the last byte, begins anew", false, "", []int{1 << 30}, 2},
		} {
			t.Run(fault.name+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					tenant, client := newTenant(t)
					addUsers(t, client, 100)
					job, err := exporter.Start(t.Context(), client, exporter.Options{})
					if err != nil {
						t.Fatal(err)
					}
					var whole, out bytes.Buffer
					if _, err := exporter.Download(t.Context(), client, job, &whole, exporter.Options{Download: (&storage{tenant: tenant}).client()}); err != nil {
						t.Fatal(err)
					}
					files := &storage{tenant: tenant, ranges: tt.ranges, etag: tt.etag, breaks: tt.breaks, how: fault.err}
					began := time.Now()
					r, err := exporter.Download(t.Context(), client, job, &out, exporter.Options{Download: files.client()})
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(out.Bytes(), whole.Bytes()) || r.Users != 100 || r.Links != tt.links || len(files.requests) != tt.links {
						t.Errorf("%d of %d bytes, %+v, %d requests; want %d links", out.Len(), whole.Len(), r, len(files.requests), tt.links)
					}
					// Silence is given up after 30 s each time.
					if d := time.Since(began); fault.err == nil && (d < time.Duration(len(tt.breaks))*30*time.Second || d > time.Duration(len(tt.breaks))*31*time.Second) {
						t.Errorf("took %v with %d silences", d, len(tt.breaks))
					}
					for _, req := range files.requests[1:] {
						if tt.etag != "" && req.Header.Get("If-Range") != tt.etag {
							t.Errorf("If-Range is %q, want %q", req.Header.Get("If-Range"), tt.etag)
						}
					}
				})
			})
		}
	}
}

type storageFault struct {
	name string
	err  error
}

// overJob is a client of a tenant with one export, which is over and whose file lies
// elsewhere.
func overJob(t *testing.T, location string) *auth0.Client {
	t.Helper()
	return newClient(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		return answer(r, http.StatusOK, fmt.Sprintf(`{"id":"job_1","type":"users_export","status":"completed","location":%q}`, location)), nil
	}))
}

func answer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)), Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
}

const aLink = "https://" + filesHost + "/job_1.json.gz?signature=signed-for-a-minute"

// compressed returns lines of text that do not compress well, and them compressed.
func compressed(t *testing.T, seed int) (text, file string) {
	t.Helper()
	var plain, b bytes.Buffer
	for i := range 200 {
		fmt.Fprintf(&plain, "{\"n\":%d}\n", i*7919*(seed+1)%100003)
	}
	z := gzip.NewWriter(&b)
	if _, err := z.Write(plain.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return plain.String(), b.String()
}

// A file that is another one than the download began with is not spliced.
func TestFileChanges(t *testing.T) {
	t.Parallel()
	_, one := compressed(t, 1)
	_, other := compressed(t, 2)
	for name, second := range map[string]string{"another": other, "shorter": one[:40]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := 0
			files := roundTrip(func(r *http.Request) (*http.Response, error) {
				resp := answer(r, http.StatusOK, second)
				if n++; n == 1 {
					resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(one[:100]), &broken{err: syscall.ECONNRESET}))
				}
				return resp, nil
			})
			_, err := exporter.Download(t.Context(), overJob(t, aLink), "job_1", io.Discard, exporter.Options{Download: &http.Client{Transport: files}})
			if err == nil || !strings.Contains(err.Error(), "has changed since") || n != 2 {
				t.Errorf("%v after %d requests", err, n)
			}
		})
	}
}

// A body that ends too early, and says so nowhere, does not pass for a whole one.
func TestTornFile(t *testing.T) {
	t.Parallel()
	_, file := compressed(t, 1)
	files := roundTrip(func(r *http.Request) (*http.Response, error) {
		return answer(r, http.StatusOK, file[:len(file)-10]), nil
	})
	_, err := exporter.Download(t.Context(), overJob(t, aLink), "job_1", io.Discard, exporter.Options{Download: &http.Client{Transport: files}})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v, want that the file ends too early", err)
	}
}

// A file that a proxy has uncompressed is taken as it is; so is one with nobody.
func TestPlainFile(t *testing.T) {
	t.Parallel()
	for text, users := range map[string]int64{"": 0, "{}": 1, "{}\n{}": 2, "{}\n\n{}\n": 2, "{\"a\":\"\\\"\"}\r\n{}\r\n": 2} {
		files := roundTrip(func(r *http.Request) (*http.Response, error) { return answer(r, http.StatusOK, text), nil })
		var out bytes.Buffer
		r, err := exporter.Download(t.Context(), overJob(t, aLink), "job_1", &out, exporter.Options{Download: &http.Client{Transport: files}})
		if err != nil || out.String() != text || r.Users != users {
			t.Errorf("%q: %q, %+v, %v; want %d users", text, out.String(), r, err, users)
		}
	}
}

// Nothing that belongs to the tenant is sent to the host of the file, and the
// link appears in no error.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tenant, client := newTenant(t)
		addUsers(t, client, 50)
		files := &storage{tenant: tenant, ranges: true, breaks: []int{50, 60}, how: syscall.ECONNRESET}
		if _, err := exporter.Run(t.Context(), client, io.Discard, exporter.Options{Download: files.client()}); err != nil {
			t.Fatal(err)
		}
		for i, r := range files.requests {
			names := slices.Sorted(maps.Keys(r.Header))
			want := []string{"Accept-Encoding", "Range", "User-Agent"}
			if i == 0 {
				want = []string{"Accept-Encoding", "User-Agent"}
			}
			if !slices.Equal(names, want) || r.URL.Host != filesHost || r.URL.User != nil {
				t.Errorf("request %d to %s with %q, want %q", i, r.URL.Host, names, want)
			}
			if strings.Contains(fmt.Sprint(r.Header, r.URL), secret) {
				t.Errorf("request %d carries the token", i)
			}
		}
	})
	for name, tt := range map[string]struct {
		link  string
		files roundTrip
		want  string
	}{
		"refused":     {aLink, func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }, "5 tries in a row brought nothing: connection refused"},
		"forbidden":   {aLink, func(r *http.Request) (*http.Response, error) { return answer(r, 403, "<Error/>"), nil }, "answered 403 Forbidden"},
		"other range": {aLink, func(r *http.Request) (*http.Response, error) { return answer(r, 206, "x"), nil }, "answered 206"},
		"redirects":   {aLink, func(r *http.Request) (*http.Response, error) { return redirect(r), nil }, "stopped after 10 redirects"},
		"plain http":  {"http" + strings.TrimPrefix(aLink, "https"), nil, "is not https but http"},
		"no link":     {"job_1.json.gz?signed-for-a-minute", nil, "is no URL"},
		"not a link":  {"https://a b/?signed-for-a-minute", nil, "is no URL"},
		"with password": {"https://user:" + secret + "@" + filesHost + "/?signed-for-a-minute", func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Authorization") != "" {
				return nil, errors.New("credentials were sent")
			}
			return nil, errors.New("no credentials were sent")
		}, "no credentials were sent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, err := exporter.Download(t.Context(), overJob(t, tt.link), "job_1", io.Discard, exporter.Options{Download: &http.Client{Transport: tt.files}})
				if err == nil || !strings.Contains(err.Error(), tt.want) || r.Users != 0 {
					t.Errorf("%v, want %q", err, tt.want)
				}
				if text := fmt.Sprintf("%v %+v %#v", err, err, r); strings.Contains(text, "signed-for-a-minute") || strings.Contains(text, secret) {
					t.Errorf("a secret is shown in %s", text)
				}
			})
		})
	}
}

func redirect(r *http.Request) *http.Response {
	resp := answer(r, http.StatusFound, "")
	resp.Header.Set("Location", "https://elsewhere.example.net/?signature=signed-for-a-minute")
	return resp
}

// The link is not handed on to where the host of the file redirects.
func TestRedirect(t *testing.T) {
	t.Parallel()
	text, file := compressed(t, 1)
	var hosts []string
	files := roundTrip(func(r *http.Request) (*http.Response, error) {
		hosts = append(hosts, r.URL.Host)
		if r.Header.Get("Referer") != "" || r.Header.Get("Authorization") != "" {
			t.Errorf("headers %q", r.Header)
		}
		if len(hosts) == 1 {
			return redirect(r), nil
		}
		return answer(r, http.StatusOK, file), nil
	})
	var out bytes.Buffer
	_, err := exporter.Download(t.Context(), overJob(t, aLink), "job_1", &out, exporter.Options{Download: &http.Client{Transport: files}})
	if err != nil || out.String() != text || !slices.Equal(hosts, []string{filesHost, "elsewhere.example.net"}) {
		t.Errorf("%v, %d bytes, hosts %q", err, out.Len(), hosts)
	}
}

// Nor are users fetched from where anybody could read along.
func TestRedirectToPlainHTTP(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		files := roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Scheme != "https" {
				t.Errorf("fetched over %s", r.URL.Scheme)
			}
			resp := redirect(r)
			resp.Header.Set("Location", "http://elsewhere.example.net/")
			return resp, nil
		})
		var out bytes.Buffer
		_, err := exporter.Download(t.Context(), overJob(t, aLink), "job_1", &out, exporter.Options{Download: &http.Client{Transport: files}})
		if err == nil || !strings.Contains(err.Error(), "sends to http, over which users are not fetched") || out.Len() > 0 {
			t.Errorf("%v, %d bytes", err, out.Len())
		}
	})
}

func TestJobs(t *testing.T) {
	t.Parallel()
	_, file := compressed(t, 1)
	over := fmt.Sprintf(`{"id":"job_1","type":"users_export","status":"completed","location":%q}`, aLink)
	for name, tt := range map[string]struct {
		answers []string // "STATUS BODY" of each look at the job; the last is repeated
		want    string   // of the error, "" for none
		looks   int
	}{
		"pending": {[]string{`200 {"id":"job_1","type":"users_export","status":"pending","percentage_done":10}`, `200 {"status":"processing"}`, "200 " + over}, "", 3},
		"failed":  {[]string{`200 {"id":"job_1","type":"users_export","status":"failed","status_details":"no room"}`}, "exporter: job job_1: the export failed: no room", 1},
		"no link": {[]string{`200 {"id":"job_1","type":"users_import","status":"completed"}`}, "is it an export?", 5},
		"gone":    {[]string{`404 {"statusCode":404,"error":"Not Found","message":"gone","errorCode":"inexistent_job"}`}, "exporter: job job_1: asking for its state: auth0: GET /api/v2/jobs/{id}: 404 inexistent_job", 1},
		// The client tries three times before the failure counts as one here.
		"outage":     {[]string{"503 ", "503 ", "503 ", "503 ", "503 ", "503 ", "503 ", "200 " + over}, "", 8},
		"no service": {[]string{"503 "}, "503", 15},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				looks := 0
				client := newClient(t, roundTrip(func(r *http.Request) (*http.Response, error) {
					a := tt.answers[min(looks, len(tt.answers)-1)]
					looks++
					status, err := strconv.Atoi(a[:3])
					return answer(r, status, a[4:]), err
				}))
				files := roundTrip(func(r *http.Request) (*http.Response, error) { return answer(r, http.StatusOK, file), nil })
				r, err := exporter.Download(t.Context(), client, "job_1", io.Discard, exporter.Options{Download: &http.Client{Transport: files}})
				if tt.want == "" && (err != nil || r.Users != 200) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("%+v, %v; want %q", r, err, tt.want)
				}
				if looks != tt.looks {
					t.Errorf("%d looks at the job, want %d", looks, tt.looks)
				}
			})
		})
	}
}

// Where the answer to the request for a job is lost, another is begun: it does no harm.
func TestStartIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		client := newClient(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				return nil, syscall.ECONNRESET
			}
			return answer(r, http.StatusOK, `{"id":"job_2","type":"users_export","status":"pending"}`), nil
		}))
		job, err := exporter.Start(t.Context(), client, exporter.Options{})
		if err != nil || job != "job_2" || n != 2 {
			t.Errorf("job %q, %v, %d requests", job, err, n)
		}
	})
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	many := make([]exporter.Field, 31)
	for i := range many {
		many[i].Name = "user_metadata.f" + strconv.Itoa(i)
	}
	for _, tt := range []struct {
		o    exporter.Options
		want string // "" for none
	}{
		{exporter.Options{Format: "xml"}, `the format "xml" is not known; give ndjson or csv`},
		{exporter.Options{Limit: -1}, "the limit is -1"},
		{exporter.Options{Format: exporter.CSV, Fields: many}, "31 fields are too many for CSV, which holds 30"},
		{exporter.Options{Format: exporter.CSV, Fields: many[:30]}, ""},
		{exporter.Options{Fields: many}, ""},
		{exporter.Options{Fields: []exporter.Field{{Name: "email"}, {}}}, "field 2 has no name"},
		{exporter.Options{Fields: []exporter.Field{{Name: "email"}, {Name: "name", As: "email"}}}, `two fields are exported as "email"`},
		{exporter.Options{Fields: []exporter.Field{{Name: strings.Repeat("x", 101)}}}, "longer than 100 characters"},
		{exporter.Options{Fields: []exporter.Field{{Name: strings.Repeat("x", 100), As: strings.Repeat("y", 100)}}}, ""},
	} {
		sent := 0
		client := newClient(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			sent++
			return answer(r, http.StatusOK, `{"id":"job_1","type":"users_export","status":"pending"}`), nil
		}))
		_, err := exporter.Start(t.Context(), client, tt.o)
		if tt.want == "" && (err != nil || sent != 1) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || sent != 0) {
			t.Errorf("%v after %d requests, want %q", err, sent, tt.want)
		}
	}
	_, client := newTenant(t)
	if _, err := exporter.Run(t.Context(), client, io.Discard, exporter.Options{Connection: "Nowhere"}); err == nil || !strings.Contains(err.Error(), `no connection "Nowhere"`) {
		t.Errorf("%v, want that there is no such connection", err)
	}
	if _, err := exporter.Download(t.Context(), client, "", io.Discard, exporter.Options{}); err == nil || !strings.Contains(err.Error(), "id is empty") {
		t.Errorf("%v, want that the id is empty", err)
	}
}

// A writer's error is not taken for the network's, and nothing is fetched again.
func TestWriterFails(t *testing.T) {
	t.Parallel()
	_, file := compressed(t, 1)
	n := 0
	files := roundTrip(func(r *http.Request) (*http.Response, error) {
		n++
		return answer(r, http.StatusOK, file), nil
	})
	full := &fullDisk{room: 100}
	r, err := exporter.Download(t.Context(), overJob(t, aLink), "job_1", full, exporter.Options{Download: &http.Client{Transport: files}})
	if !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "exporter: writing the export: ") || r.Bytes != 100 || n != 1 {
		t.Errorf("%+v, %v after %d requests", r, err, n)
	}
}

type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.room)
	if d.room -= n; n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// A tenth of all connections breaks, before or after the tenant or the storage has
// acted, and of the answers of both one in twenty is a 5xx.
func TestFaults(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tenant := auth0test.MustNew(auth0test.Options{Seed: seed, Tokens: []string{secret}, Domain: tenantHost, JobTime: time.Minute})
				client, err := auth0.New(tenantHost, auth0.WithToken(secret), auth0.WithRetries(5), auth0.WithHTTPClient(tenant.Client()))
				if err != nil {
					t.Fatal(err)
				}
				for i := range 200 {
					user := map[string]any{"connection": auth0test.DefaultConnection, "email": fmt.Sprintf("u%d@example.com", i), "password": "made-up"}
					if _, err := auth0.Call[auth0.NoContent](t.Context(), client, http.MethodPost, "/api/v2/users", nil, nil, user, nil); err != nil {
						t.Fatal(err)
					}
				}
				tenant.SetFaults(auth0test.Faults{LoseRequest: 0.05, LoseAnswer: 0.05, Fail: 0.05})
				var out bytes.Buffer
				r, err := exporter.Run(t.Context(), client, &out, exporter.Options{
					Connection: auth0test.DefaultConnection, Fields: []exporter.Field{{Name: "email"}}, Download: tenant.Client(),
				})
				if err != nil || r.Users != 200 || !strings.HasPrefix(out.String(), `{"email":"u0@example.com"}`+"\n") || !strings.HasSuffix(out.String(), `{"email":"u199@example.com"}`+"\n") {
					t.Errorf("%+v, %v, %d bytes", r, err, out.Len())
				}
			})
		})
	}
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]time.Duration{"while the job runs": 2 * time.Second, "during the download": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tenant, client := newTenant(t)
				addUsers(t, client, 10)
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				began := time.Now()
				files := &storage{tenant: tenant, breaks: []int{10}}
				_, err := exporter.Run(ctx, client, io.Discard, exporter.Options{Download: files.client()})
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != after {
					t.Errorf("%v after %v, want the end after %v", err, time.Since(began), after)
				}
			})
		})
	}
}
