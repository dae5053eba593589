package exporter

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/management"
)

const (
	// stalled is how long a download may bring nothing before it is begun anew.
	stalled = 30 * time.Second
	// progressEvery is how often Progress is called during a download.
	progressEvery = 100 * time.Millisecond
)

// errStalled is a connection that brings nothing.
var errStalled = errors.New("nothing came for 30 s")

// errChanged is a file that is not what the download began with.
var errChanged = errors.New("the file has changed since the download began; begin the export again")

// download waits for the job and writes its file.
func download(ctx context.Context, client *auth0.Client, job string, w io.Writer, o Options, began time.Time) (*Result, error) {
	r := &Result{JobID: job}
	defer func() { r.Elapsed = time.Since(began) }()
	tell := func(p Progress) {
		if o.Progress != nil {
			p.JobID, p.Users, p.Bytes, p.Links, p.Elapsed = job, r.Users, r.Bytes, r.Links, time.Since(began)
			o.Progress(p)
		}
	}
	api := management.New(client)
	first := true
	link := func() (*url.URL, error) {
		location, err := poll(ctx, api, job, func(j *management.Job) {
			if first {
				tell(Progress{Stage: StageExporting, Percent: j.PercentageDone, Left: time.Duration(j.TimeLeftSeconds) * time.Second})
			}
		})
		if err != nil {
			return nil, err
		}
		first = false
		r.Links++
		return checkLink(location, client.BaseURL())
	}
	s := newStream(ctx, o.Download, link)
	defer s.close()

	text, err := uncompressed(s)
	if err != nil {
		return r, fmt.Errorf("exporter: job %s: %w", job, err)
	}
	counting := &counter{w: w, result: r, csv: o.Format == CSV}
	var told time.Time
	counting.tell = func() {
		if now := time.Now(); now.Sub(told) >= progressEvery {
			told = now
			tell(Progress{Stage: StageDownloading, Percent: 100})
		}
	}
	_, err = io.Copy(counting, text)
	counting.end()
	switch {
	case counting.err != nil:
		return r, fmt.Errorf("exporter: writing the export: %w", counting.err)
	case err != nil:
		return r, fmt.Errorf("exporter: job %s: %w", job, err)
	}
	tell(Progress{Stage: StageDone, Percent: 100})
	return r, nil
}

// checkLink refuses links over which anybody could read along. A tenant that is
// reached over plain HTTP itself, which only those on this machine are, may give
// such links.
func checkLink(location, tenant string) (*url.URL, error) {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" {
		return nil, errors.New("the link that the tenant gave is no URL")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !strings.HasPrefix(tenant, "http://")) {
		return nil, fmt.Errorf("the link that the tenant gave is not https but %s, over which users are not fetched", u.Scheme)
	}
	u.User = nil // would be sent as credentials
	return u, nil
}

// uncompressed reads what s holds, which is compressed but for tests and proxies
// that take it upon them to uncompress.
func uncompressed(s *stream) (io.Reader, error) {
	in := bufio.NewReaderSize(s, 64<<10)
	magic, err := in.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return in, nil
	}
	return gzip.NewReader(in)
}

// counter counts what it passes on.
type counter struct {
	w      io.Writer
	result *Result
	csv    bool
	tell   func()
	err    error // of w

	header bool // the header of a CSV file is over
	quoted bool // within a quoted value of a CSV file
	open   bool // a line has begun and not ended
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if n < len(p) && err == nil {
		err = io.ErrShortWrite
	}
	c.result.Bytes += int64(n)
	c.count(p[:n])
	c.err = err
	c.tell()
	return n, err
}

// count counts lines, and with CSV those outside of quotes.
func (c *counter) count(p []byte) {
	for _, b := range p {
		switch {
		case b == '\n' && !c.quoted:
			c.end()
			continue
		case b == '\r':
			continue
		case b == '"' && c.csv:
			c.quoted = !c.quoted // a doubled quote toggles twice
		}
		c.open = true
	}
}

// end ends a line, or the file.
func (c *counter) end() {
	switch {
	case !c.open:
	case c.csv && !c.header:
		c.header = true
	default:
		c.result.Users++
	}
	c.open = false
}

// stream reads a file over links that expire and connections that break. It keeps
// a hash of what it has read, so that a download that has to begin anew is known
// to be of the same file.
type stream struct {
	fetch func(header http.Header) (*http.Response, context.CancelFunc, error)
	pause func(time.Duration) error
	ended func() error // why the caller wants no more

	body     io.ReadCloser
	cancel   context.CancelFunc
	offset   int64
	read     hash.Hash
	etag     string
	failures int // in a row
	delays   backoff.BackOff
	done     bool
}

// newStream reads what link leads to. link is called for each attempt.
func newStream(ctx context.Context, client *http.Client, link func() (*url.URL, error)) *stream {
	plain := http.Client{}
	if client != nil {
		plain = *client
	}
	next := plain.CheckRedirect
	plain.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		req.Header.Del("Referer") // it would hand the link on
		if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return fmt.Errorf("the server of the file sends to %s, over which users are not fetched", req.URL.Scheme)
		}
		if next != nil {
			return next(req, via)
		}
		if len(via) >= 10 {
			return errors.New("stopped after 10 redirects")
		}
		return nil
	}
	return &stream{
		read:   sha256.New(),
		delays: backoff.NewExponentialBackOff(backoff.WithInitialInterval(500*time.Millisecond), backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0)),
		pause:  func(d time.Duration) error { return pause(ctx, d) },
		ended:  ctx.Err,
		fetch: func(h http.Header) (*http.Response, context.CancelFunc, error) {
			u, err := link()
			if err != nil {
				return nil, nil, &finalError{err}
			}
			ctx, cancel := context.WithCancel(ctx)
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
			if err != nil {
				cancel()
				return nil, nil, &finalError{errors.New("the link that the tenant gave is no URL")}
			}
			req.Header = h
			timer := time.AfterFunc(stalled, cancel)
			resp, err := plain.Do(req)
			slow := !timer.Stop()
			if err != nil {
				cancel()
				if slow {
					err = errStalled
				}
				return nil, nil, withoutLink(err)
			}
			return resp, cancel, nil
		},
	}
}

// finalError is one that another try does not change.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// withoutLink takes the wrapper off that puts the whole link into the text.
func withoutLink(err error) error {
	for {
		u, ok := errors.AsType[*url.Error](err)
		if !ok {
			return err
		}
		err = u.Err
	}
}

// Read reads on, over a fresh link where need be.
func (s *stream) Read(p []byte) (int, error) {
	for !s.done && len(p) > 0 {
		if s.body == nil {
			if err := s.open(); err != nil {
				if err := s.failed(err); err != nil {
					return 0, err
				}
			}
			continue
		}
		n, err := s.next(p)
		if n > 0 {
			s.offset += int64(n)
			s.read.Write(p[:n])
			s.failures = 0
			s.delays.Reset()
		}
		switch {
		case errors.Is(err, io.EOF):
			s.close()
			s.done = true
		case err != nil:
			s.close()
			if err := s.failed(err); err != nil {
				return n, err
			}
		}
		if n > 0 {
			return n, nil
		}
	}
	if s.done {
		return 0, io.EOF
	}
	return 0, nil
}

// next reads from the open connection, for as long as one may say nothing.
func (s *stream) next(p []byte) (int, error) {
	timer := time.AfterFunc(stalled, s.cancel)
	n, err := s.body.Read(p)
	if slow := !timer.Stop(); slow && err != nil && !errors.Is(err, io.EOF) {
		err = errStalled
	}
	return n, err
}

// failed returns err when it is final, and waits a while when not.
func (s *stream) failed(err error) error {
	if ended := s.ended(); ended != nil {
		return ended
	}
	if final, ok := errors.AsType[*finalError](err); ok {
		return final.err
	}
	if s.failures++; s.failures == patience {
		return fmt.Errorf("%d tries in a row brought nothing: %w", s.failures, err)
	}
	if s.failures == 1 {
		return nil // a link has expired or a connection was lost: no reason to wait
	}
	return s.pause(s.delays.NextBackOff())
}

// open begins the download, or goes on with it.
func (s *stream) open() error {
	h := http.Header{
		"Accept-Encoding": {"identity"}, // the file as it is stored, so that offsets are its own
		"User-Agent":      {"headroom-go-auth0"},
	}
	if s.offset > 0 {
		h.Set("Range", "bytes="+strconv.FormatInt(s.offset, 10)+"-")
		if s.etag != "" {
			h.Set("If-Range", s.etag)
		}
	}
	resp, cancel, err := s.fetch(h) //nolint:bodyclose // close does, at the end or when the download breaks
	if err != nil {
		return err
	}
	s.body, s.cancel = resp.Body, cancel
	switch {
	case resp.StatusCode == http.StatusOK:
		err = s.skip()
	case resp.StatusCode == http.StatusPartialContent && s.offset > 0:
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(s.offset, 10)+"-") {
			err = errors.New("the server went on at another byte than it was asked for")
		}
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && resp.Header.Get("Content-Range") == "bytes */"+strconv.FormatInt(s.offset, 10):
		// The connection broke after the last byte.
		s.done = true
	default:
		err = fmt.Errorf("the server of the file answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	if err != nil || s.done {
		s.close()
		return err
	}
	if tag := resp.Header.Get("ETag"); strings.HasPrefix(tag, `"`) {
		s.etag = tag
	}
	return nil
}

// skip reads over what was read before, in a file that began anew.
func (s *stream) skip() error {
	if s.offset == 0 {
		return nil
	}
	again := sha256.New()
	buf := make([]byte, 64<<10)
	for left := s.offset; left > 0; {
		n, err := s.next(buf[:min(left, int64(len(buf)))])
		again.Write(buf[:n])
		if left -= int64(n); left == 0 {
			break
		}
		if errors.Is(err, io.EOF) {
			return &finalError{errChanged}
		}
		if err != nil {
			return err
		}
	}
	if !bytes.Equal(again.Sum(nil), s.read.Sum(nil)) {
		return &finalError{errChanged}
	}
	return nil
}

// close ends the connection that is open, if any.
func (s *stream) close() {
	if s.body != nil {
		s.cancel()
		_ = s.body.Close()
		s.body = nil
	}
}
