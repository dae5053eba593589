package auth0

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// What errors.Is finds in an *Error, by its status or by what rejected the
// request.
var (
	ErrBadRequest   = errors.New("bad request")       // 400
	ErrUnauthorized = errors.New("unauthorized")      // 401
	ErrForbidden    = errors.New("forbidden")         // 403
	ErrNotFound     = errors.New("not found")         // 404
	ErrConflict     = errors.New("conflict")          // 409
	ErrTooLarge     = errors.New("payload too large") // 413
	ErrServer       = errors.New("server error")      // 5xx that is no rejection
	// ErrRateLimited is a rejection by a rate limit, a quota or a limit on jobs
	// under way, whatever its status.
	ErrRateLimited = errors.New("rate limited")
	// ErrTooManyAttempts is an answer of attack protection. It ends when the
	// user or the address is unblocked, and no pacing helps.
	ErrTooManyAttempts = errors.New("too many attempts")
	// ErrNotSent says that no attempt of the call can have been carried out: each
	// was kept back, failed before its first byte was written, or was rejected by
	// a rate limit. Repeating the call later is safe whatever it does. A failure
	// on the network without it leaves open what the server has done.
	ErrNotSent = errors.New("not sent")
	// ErrSlowDown is the answer to polling faster than the interval allows.
	ErrSlowDown = errors.New("slow down")
)

// Error is the failure of a call: an answer of the server that says so, an answer
// that could not be read, or, with Status 0, none at all. Printed or logged it shows neither bodies nor tokens
// nor queries, and e-mail addresses, user ids and anything that looks like a
// secret are blotted out of the server's message.
//
// Failures of a token source, and of encoding the request, are returned as they
// are and not as an Error.
type Error struct {
	// Status is the HTTP status, 0 when no answer arrived.
	Status int
	// Code names the failure for programs: errorCode of the Management API,
	// error of OAuth, code of database connections, the last part of type in
	// problem documents. It may be empty.
	Code string
	// Message is the server's message as it came. It may hold personal data.
	Message string
	// Method is the method of the call.
	Method string
	// Route is the template of the call, as in /api/v2/users/{id}.
	Route string
	// RequestID names the request in the tenant's logs, where the answer told.
	RequestID string
	// Limit is the size of the bucket that the answer describes, -1 when it
	// describes none.
	Limit int64
	// Remaining is what the bucket held, -1 when not told.
	Remaining int64
	// Reset is the time that the answer gives for more; see RateLimit.Reset.
	Reset time.Time
	// RetryAfter is how long the server asks to wait, 0 when it does not say.
	RetryAfter time.Duration
	// Bucket is the name of the plan's bucket that the answer describes: of a
	// rejection, what rejected the request, "" when that cannot be told.
	Bucket string
	// NextIn is the time, from a rejection on, until the same request could be
	// admitted; 0 for other failures.
	NextIn time.Duration
	// Attempts is how many times the request was sent.
	Attempts int

	rejected bool
	notSent  bool
	body     []byte
	err      error
}

// Error returns one line: method, route, status, code, message, request id.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("auth0: ")
	b.WriteString(e.Method)
	b.WriteByte(' ')
	b.WriteString(e.Route)
	b.WriteByte(':')
	if e.Status != 0 {
		b.WriteByte(' ')
		b.WriteString(strconv.Itoa(e.Status))
		if e.Code != "" {
			b.WriteByte(' ')
			b.WriteString(redact(e.Code))
		} else if text := http.StatusText(e.Status); text != "" {
			b.WriteByte(' ')
			b.WriteString(text)
		}
		if e.Message != "" {
			b.WriteString(": ")
			b.WriteString(redact(e.Message))
		}
	}
	if e.err != nil {
		if e.Status != 0 {
			b.WriteByte(':')
		}
		b.WriteByte(' ')
		b.WriteString(redact(e.err.Error()))
	}
	var notes []string
	if e.RequestID != "" {
		notes = append(notes, "request "+redactID(e.RequestID))
	}
	if e.Attempts > 1 {
		notes = append(notes, strconv.Itoa(e.Attempts)+" attempts")
	}
	if e.RetryAfter > 0 {
		notes = append(notes, "retry after "+e.RetryAfter.String())
	}
	if e.rejected && e.Bucket != "" {
		notes = append(notes, "bucket "+e.Bucket)
	}
	if e.NextIn > 0 {
		notes = append(notes, "next in "+e.NextIn.Round(time.Millisecond).String())
	}
	if len(notes) > 0 {
		b.WriteString(" (" + strings.Join(notes, ", ") + ")")
	}
	return b.String()
}

// Format writes Error, with %#v GoString, and never the fields, whatever the verb.
func (e Error) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'v' && f.Flag('#'):
		_, _ = io.WriteString(f, e.GoString())
	case strings.ContainsRune("sqxX", verb):
		_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), e.Error())
	default:
		_, _ = io.WriteString(f, e.Error())
	}
}

// GoString returns the status, code and route, and nothing of the answer.
func (e Error) GoString() string {
	return fmt.Sprintf("&auth0.Error{Status:%d, Code:%q, Method:%q, Route:%q, Attempts:%d}",
		e.Status, redact(e.Code), e.Method, e.Route, e.Attempts)
}

// LogValue returns the fields that are safe to log.
func (e Error) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("method", e.Method), slog.String("route", e.Route), slog.Int("attempts", e.Attempts)}
	if e.Status != 0 {
		attrs = append(attrs, slog.Int("status", e.Status))
	}
	if e.Code != "" {
		attrs = append(attrs, slog.String("code", redact(e.Code)))
	}
	if e.RequestID != "" {
		attrs = append(attrs, slog.String("request", redactID(e.RequestID)))
	}
	if e.rejected {
		attrs = append(attrs, slog.String("bucket", e.Bucket), slog.Duration("next_in", e.NextIn))
	}
	if e.err != nil {
		attrs = append(attrs, slog.String("error", redact(e.err.Error())))
	}
	return slog.GroupValue(attrs...)
}

// Unwrap returns what kept an answer from arriving or from being understood:
// the error of the network, of the context, of the limiter; nil when the
// server's answer is the failure.
func (e *Error) Unwrap() error { return e.err }

// Is reports whether target is the sentinel of e's status or rejection.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrRateLimited:
		return e.rejected
	case ErrNotSent:
		return e.notSent
	case ErrTooManyAttempts:
		return e.Code == "too_many_attempts"
	case ErrSlowDown:
		return e.Code == "slow_down"
	case ErrBadRequest:
		return e.Status == http.StatusBadRequest
	case ErrUnauthorized:
		return e.Status == http.StatusUnauthorized
	case ErrForbidden:
		return e.Status == http.StatusForbidden
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrConflict:
		return e.Status == http.StatusConflict
	case ErrTooLarge:
		return e.Status == http.StatusRequestEntityTooLarge
	case ErrServer:
		return e.Status >= 500 && !e.rejected
	}
	return false
}

// Body returns the beginning, up to 64 KiB, of the answer as it came, nil when
// there was none. It may hold personal data and secrets.
func (e *Error) Body() []byte { return e.body }

// MFAToken returns the token that a login which needs a second factor goes on
// with, "" when the answer holds none.
func (e *Error) MFAToken() string { return stringMember(e.body, "mfa_token") }

// read fills e from the body of an error answer, whichever API it is of.
func (e *Error) read(body []byte, contentType string) {
	e.body = body
	fields, err := splitObject(body)
	if err != nil {
		e.readText(string(body), contentType)
		return
	}
	get := func(name string) string {
		for _, f := range fields {
			if f.name == name {
				return jsonString(f.value)
			}
		}
		return ""
	}
	switch {
	case get("errorCode") != "": // Management API
		e.Code, e.Message = get("errorCode"), get("message")
	case get("code") != "": // database connections, import errors
		e.Code, e.Message = get("code"), first(get("description"), get("message"), get("error"))
	case get("error_description") != "": // OAuth
		e.Code, e.Message = get("error"), get("error_description")
	case get("title") != "" || get("detail") != "": // problem documents
		typ := get("type")
		e.Code, e.Message = typ[strings.LastIndexAny(typ, "#/")+1:], first(get("detail"), get("title"))
	case get("message") != "":
		// Without an errorCode the Management API repeats the status in words.
		e.Code, e.Message = slug(get("error")), get("message")
	default:
		e.Code, e.Message = slug(get("error")), get("description")
	}
}

// readText fills e from an answer that is not JSON: a SOAP fault, a line of
// text. Pages of HTML say nothing that the status does not.
func (e *Error) readText(body, contentType string) {
	if strings.Contains(body, "Fault") && strings.Contains(body, "<") {
		sub := body[max(strings.Index(body, "Subcode"), 0):]
		e.Code = element(sub, "Value")
		e.Message = element(body, "Text")
		return
	}
	text := strings.TrimSpace(body)
	if len(text) <= 200 && !strings.HasPrefix(text, "<") && !strings.Contains(contentType, "html") {
		e.Message = text
	}
}

// element returns the text of the first element of that local name.
func element(xml, name string) string {
	for from := 0; ; {
		i := strings.Index(xml[from:], name)
		if i < 0 {
			return ""
		}
		from += i + len(name)
		_, rest, ok := strings.Cut(xml[from:], ">")
		if !ok {
			return ""
		}
		if text, _, ok := strings.Cut(rest, "<"); ok && strings.TrimSpace(text) != "" {
			return strings.TrimSpace(text)
		}
	}
}

func stringMember(body []byte, name string) string {
	fields, err := splitObject(body)
	if err != nil {
		return ""
	}
	for _, f := range fields {
		if f.name == name {
			return jsonString(f.value)
		}
	}
	return ""
}

// slug makes a code of words: "Too Many Requests" becomes too_many_requests.
func slug(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), " ", "_")
}

func first(options ...string) string {
	for _, s := range options {
		if s != "" {
			return s
		}
	}
	return ""
}

// requestIDOf returns the id under which a support case or a log finds the
// request.
func requestIDOf(h http.Header) string {
	return first(h.Get("X-Auth0-Requestid"), h.Get("X-Request-ID"), h.Get("Cf-Ray"))
}

// withoutURL strips the wrapper that puts the whole URL, its query included,
// into the text of an error of http.Client.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// redact blots out of a text whatever may be personal or secret: e-mail
// addresses, user ids, queries and telling paths of URLs, phone numbers and long
// random words. It would rather take too much than too little.
func redact(s string) string {
	var b strings.Builder
	start := 0
	flush := func(end int) {
		if word := s[start:end]; word != "" {
			b.WriteString(redactWord(word))
		}
	}
	for i, r := range s {
		if r <= ' ' || strings.ContainsRune("\"'`<>(){}[],;\u00a0", r) {
			flush(i)
			if r < ' ' || r == 0x7f {
				r = ' ' // an answer must not break a log's lines
			}
			b.WriteRune(r)
			_, size := utf8.DecodeRuneInString(s[i:])
			start = i + size
		}
	}
	flush(len(s))
	return b.String()
}

func redactWord(w string) string {
	switch {
	case strings.Contains(w, "@"), strings.Contains(strings.ToLower(w), "%40"):
		return "[e-mail]"
	case strings.Contains(w, "://"):
		return redactURL(w)
	case strings.Contains(w, "?") && strings.Contains(w, "="):
		return w[:strings.IndexByte(w, '?')] + "?[redacted]"
	case strings.Contains(w, "|"), strings.Contains(strings.ToLower(w), "%7c"):
		return "[user]"
	case strings.HasPrefix(w, "eyJ"), looksSecret(w):
		return "[redacted]"
	case looksLikePhone(w):
		return "[phone]"
	}
	return w
}

// redactURL takes the query off, and a path that holds a user id or a secret.
func redactURL(w string) string {
	scheme, rest, _ := strings.Cut(w, "://")
	bare, tail := rest, ""
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		bare, tail = rest[:i], "?[redacted]"
	}
	host, path, _ := strings.Cut(bare, "/")
	if strings.Contains(path, "|") || strings.Contains(strings.ToLower(path), "%7c") || looksSecret(path) {
		bare, tail = host+"/[redacted]", ""
	}
	return scheme + "://" + bare + tail
}

// looksSecret finds words of 20 and more letters and digits in which both
// occur, as in keys, tokens and random ids, and any word of 64 or more.
func looksSecret(w string) bool {
	run, digits, letters := 0, 0, 0
	for i := range len(w) {
		c := w[i]
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			letters++
		case c == '-' || c == '_' || c == '+' || c == '=' || c == '~':
		default:
			run, digits, letters = 0, 0, 0
			continue
		}
		run++
		if run >= 64 || run >= 20 && digits >= 2 && letters >= 2 {
			return true
		}
	}
	return false
}

func looksLikePhone(w string) bool {
	if !strings.HasPrefix(w, "+") {
		return false
	}
	digits := 0
	for i := range len(w) {
		if w[i] >= '0' && w[i] <= '9' {
			digits++
		}
	}
	return digits >= 7
}

// redactID keeps request ids, which are random but no secret, to the characters
// that ids are made of.
func redactID(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '_' {
			return r
		}
		return -1
	}, id)
}
