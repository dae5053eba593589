package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxRecord is the longest user that is read, in bytes of JSON. Auth0 takes no
// user near that size; the bound keeps one broken line from filling the memory.
const maxRecord = 1 << 20

// A record is one user of an import file, or the reason why it is none.
type record struct {
	number int // position among the file's users, from 1
	line   int // line on which it starts, from 1
	fields map[string]json.RawMessage
	err    error // why it cannot be sent; fields may still hold what was readable
}

// text returns a field that is a JSON string, "" when it is absent or another type.
func (r *record) text(field string) string {
	var s string
	if raw, ok := r.fields[field]; !ok || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// user returns what a person needs to find the record's user again.
func (r *record) user() string {
	for _, f := range []string{"email", "user_id", "username", "phone_number"} {
		if s := r.text(f); s != "" {
			return s
		}
	}
	return ""
}

// scrub removes the record's secrets from a text that comes from elsewhere:
// a server may quote what it refuses.
func (r *record) scrub(s string) string {
	if p := r.text("password"); p != "" {
		s = strings.ReplaceAll(s, p, "[redacted]")
	}
	return s
}

// recordReader reads users from NDJSON or from a JSON array, plain or gzipped,
// holding one user at a time. What cannot be read becomes a record with an
// error, and the reader goes on behind it.
type recordReader struct {
	in     *bufio.Reader
	zip    *gzip.Reader
	number int
	line   int // line of the next byte
	array  bool
	state  arrayState
	buf    []byte
}

type arrayState uint8

const (
	arrayStart      arrayState = iota // behind the opening bracket
	arrayAfterValue                   // a comma or the end must follow
	arrayAfterComma                   // a value must follow
	arrayClosed                       // behind the closing bracket
	arrayDone                         // nothing more to report
)

// newRecordReader looks at the first bytes of r to tell the format.
func newRecordReader(r io.Reader) (*recordReader, error) {
	rr := &recordReader{in: bufio.NewReaderSize(r, 64<<10), line: 1}
	if magic, _ := rr.in.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(rr.in)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		rr.zip, rr.in = z, bufio.NewReaderSize(z, 64<<10)
	}
	if bom, _ := rr.in.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = rr.in.Discard(3)
	}
	c, err := rr.skipSpace()
	switch {
	case errors.Is(err, io.EOF):
		return rr, nil
	case err != nil:
		return nil, err
	case c == '[':
		rr.array = true
	default:
		_ = rr.in.UnreadByte()
	}
	return rr, nil
}

// next returns the next user, io.EOF behind the last one, or the error of the
// underlying reader.
func (rr *recordReader) next() (record, error) {
	raw, line, reason, err := rr.split()
	if err != nil {
		return record{}, err
	}
	rr.number++
	rec := record{number: rr.number, line: line}
	if reason != "" {
		rec.err = errors.New(reason)
		return rec, nil
	}
	rec.fields, rec.err = parseUser(raw)
	return rec, nil
}

// count reads to the end and returns how many records there are.
func (rr *recordReader) count() (int, error) {
	for n := 0; ; n++ {
		if _, _, _, err := rr.split(); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
	}
}

// split returns the bytes of the next record, valid until the next call, and
// its line; or the reason why the file holds no record there.
func (rr *recordReader) split() (raw []byte, line int, reason string, err error) {
	if rr.array {
		return rr.splitArray()
	}
	return rr.splitLine()
}

func (rr *recordReader) splitLine() (raw []byte, line int, reason string, err error) {
	for {
		line = rr.line
		rr.buf = rr.buf[:0]
		tooLong, ended := false, false
		for !ended {
			part, err := rr.in.ReadSlice('\n')
			switch {
			case err == nil:
				ended = true
				rr.line++
			case errors.Is(err, bufio.ErrBufferFull):
			case errors.Is(err, io.EOF):
				if len(rr.buf)+len(part) == 0 {
					return nil, 0, "", io.EOF
				}
				ended = true
			default:
				return nil, 0, "", fmt.Errorf("line %d: %w", line, err)
			}
			if len(rr.buf)+len(part) > maxRecord+2 {
				tooLong = true
				continue
			}
			rr.buf = append(rr.buf, part...)
		}
		if tooLong {
			return nil, line, fmt.Sprintf("the line is longer than %d bytes", maxRecord), nil
		}
		if raw = bytes.TrimSpace(rr.buf); len(raw) > 0 {
			return raw, line, "", nil
		}
	}
}

func (rr *recordReader) splitArray() (raw []byte, line int, reason string, err error) {
	for {
		if rr.state == arrayDone {
			return nil, 0, "", io.EOF
		}
		c, err := rr.skipSpace()
		line = rr.line
		switch {
		case errors.Is(err, io.EOF):
			if rr.state == arrayClosed {
				return nil, 0, "", io.EOF
			}
			rr.state = arrayDone
			return nil, line, "the file ends before the array's closing bracket: it may have been cut off", nil
		case err != nil:
			return nil, 0, "", fmt.Errorf("line %d: %w", line, err)
		case rr.state == arrayClosed:
			rr.state = arrayDone
			return nil, line, "there is text behind the end of the array; it was not read", nil
		case c == ']':
			rr.state = arrayClosed
		case c == ',':
			empty := rr.state != arrayAfterValue
			rr.state = arrayAfterComma
			if empty {
				return nil, line, "no user before the comma", nil
			}
		default:
			noComma := rr.state == arrayAfterValue
			rr.state = arrayAfterValue
			raw, reason, err = rr.value(c)
			if err != nil {
				return nil, 0, "", fmt.Errorf("line %d: %w", rr.line, err)
			}
			if noComma && reason == "" {
				reason = "no comma between this user and the one before"
			}
			return raw, line, reason, nil
		}
	}
}

// value reads the array element that starts with c. It only follows brackets
// and quotes, so that an element that is not JSON still ends where it should.
func (rr *recordReader) value(c byte) (raw []byte, reason string, err error) {
	var open []byte // brackets that are open, outermost first
	inString, escaped, tooLong := false, false, false
	before := byte(0) // the last byte outside strings that is not white space
	rr.buf = rr.buf[:0]
	for {
		if c == '{' && !inString && before != ':' && bytes.HasSuffix(open, []byte{'{'}) {
			// Where JSON wants a key there is an object: the next user. The one
			// before lacks a quote or a bracket.
			rr.state = arrayAfterComma
			_ = rr.in.UnreadByte()
			return nil, "the user is not closed before the next one starts", nil
		}
		if len(rr.buf) < maxRecord {
			rr.buf = append(rr.buf, c)
		} else {
			tooLong = true
		}
		switch {
		case c == '\n':
			// No JSON string holds a bare line end: the quote is missing, and
			// the next line is not part of the string.
			if inString {
				inString, escaped, before = false, false, '"'
			}
		case escaped:
			escaped = false
		case inString:
			switch c {
			case '\\':
				escaped = true
			case '"':
				inString = false
			}
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			open = append(open, c)
		case c == '}' || c == ']':
			// A wrong closing bracket closes what encloses it too.
			opener := byte('{')
			if c == ']' {
				opener = '['
			}
			if i := bytes.LastIndexByte(open, opener); i >= 0 {
				open = open[:i]
			}
		}
		if !inString && !isSpace(c) {
			before = c
		}
		if len(open) == 0 && !inString && (c == '}' || c == ']' || c == '"') {
			break
		}
		next, err := rr.in.ReadByte()
		if errors.Is(err, io.EOF) {
			rr.state = arrayDone
			return nil, "the user that starts here is never closed: nothing behind it could be read", nil
		}
		if err != nil {
			return nil, "", err
		}
		if len(open) == 0 && !inString && (next == ',' || next == ']' || isSpace(next)) {
			_ = rr.in.UnreadByte()
			break
		}
		if c = next; c == '\n' {
			rr.line++
		}
	}
	if tooLong {
		return nil, fmt.Sprintf("the user is longer than %d bytes", maxRecord), nil
	}
	return rr.buf, "", nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// skipSpace returns the first byte that is not white space.
func (rr *recordReader) skipSpace() (byte, error) {
	for {
		c, err := rr.in.ReadByte()
		if err != nil || !isSpace(c) {
			return c, err
		}
		if c == '\n' {
			rr.line++
		}
	}
}

// parseUser decodes one user and refuses what POST /api/v2/users could not
// take, so that no request is spent on it. The fields are returned as far as
// they could be read, error or not.
func parseUser(raw []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not valid UTF-8")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		// The decoder's own text could quote a value; its position cannot.
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			return nil, fmt.Errorf("not valid JSON, at byte %d of the user", syntax.Offset)
		}
		return nil, errors.New("not a JSON object")
	}
	if fields == nil {
		return nil, errors.New("not a JSON object")
	}
	known := false
	for _, f := range []string{"email", "username", "phone_number", "user_id", "password", "connection"} {
		raw, ok := fields[f]
		if !ok {
			continue
		}
		if string(raw) == "null" {
			delete(fields, f) // as exports write what a user does not have
			continue
		}
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return fields, fmt.Errorf("%s is not a string", f)
		}
		switch f {
		case "email", "username", "phone_number":
			known = known || s != ""
		case "user_id":
			// Auth0 puts its own prefix before a given id; exports carry it already.
			if bare, ok := strings.CutPrefix(s, "auth0|"); ok {
				fields[f] = jsonString(bare)
			}
		}
	}
	for _, f := range []string{"password_hash", "custom_password_hash", "mfa_factors"} {
		if _, ok := fields[f]; ok {
			return fields, fmt.Errorf("%s cannot be set with POST /api/v2/users, only by a bulk import job", f)
		}
	}
	if !known {
		return fields, errors.New("none of email, username and phone_number is set")
	}
	return fields, nil
}

func jsonString(s string) json.RawMessage {
	b, err := json.Marshal(s)
	must(err) // every string has a JSON form
	return b
}
