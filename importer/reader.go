package importer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxItem is the longest user that is read, in bytes. Auth0 takes none near that
// size; the bound keeps one broken line from filling the memory.
const maxItem = 1 << 20

// A reader splits an input into users. It holds one at a time; what cannot be
// read becomes a broken item, and it goes on behind that. At the end it returns
// io.EOF, other errors are those of the input.
type reader interface {
	next() (*item, error)
}

// lines reads users from NDJSON, one on each line that is not blank.
type lines struct {
	in   *bufio.Reader
	line int // of the next byte
	buf  []byte
	out  item
}

func (r *lines) next() (*item, error) {
	for {
		r.out = item{line: r.line}
		raw, tooLong, err := r.read()
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("line %d: %w", r.out.line, err)
		case tooLong:
			r.out.broken, r.out.rule, r.out.what = true, ruleTooLong, fmt.Sprintf("the line is longer than %d bytes", maxItem)
			return &r.out, nil
		}
		if r.out.raw = bytes.TrimFunc(raw, isSpaceRune); len(r.out.raw) > 0 {
			return &r.out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func isSpaceRune(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }

// read returns the next line, without copying it where the buffer has it whole.
func (r *lines) read() (line []byte, tooLong bool, err error) {
	r.buf = r.buf[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		if err == nil {
			r.line++
		}
		tooLong = tooLong || len(r.buf)+len(part) > maxItem+len("\r\n")
		switch {
		case tooLong && full:
			r.buf = r.buf[:0]
		case tooLong && errors.Is(err, io.EOF):
			return nil, true, nil // the next call meets the end again
		case full:
			r.buf = append(r.buf, part...)
		case len(r.buf) == 0:
			return part, tooLong, err
		default:
			r.buf = append(r.buf, part...)
			return r.buf, tooLong, err
		}
	}
}

// array reads users from a JSON array.
type array struct {
	in    *bufio.Reader
	line  int // of the next byte
	state arrayState
	buf   []byte
	open  []byte // brackets that are open, outermost first
	out   item
}

type arrayState uint8

const (
	arrayStart      arrayState = iota // behind the opening bracket
	arrayAfterValue                   // a comma or the end must follow
	arrayAfterComma                   // a value must follow
	arrayClosed                       // behind the closing bracket
	arrayDone                         // nothing more to report
)

func (r *array) broken(line int, what string) (*item, error) {
	r.out = item{line: line, broken: true, rule: ruleArray, what: what}
	return &r.out, nil
}

func (r *array) next() (*item, error) {
	for {
		if r.state == arrayDone {
			return nil, io.EOF
		}
		c, err := r.skipSpace()
		line := r.line
		switch {
		case errors.Is(err, io.EOF):
			closed := r.state == arrayClosed
			r.state = arrayDone
			if closed {
				return nil, io.EOF
			}
			return r.broken(line, "the input ends before the array's closing bracket and may have been cut off")
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", line, err)
		case r.state == arrayClosed:
			r.state = arrayDone
			return r.broken(line, "there is text behind the end of the array, and it was not read")
		case c == ']':
			r.state = arrayClosed
		case c == ',':
			empty := r.state != arrayAfterValue
			r.state = arrayAfterComma
			if empty {
				return r.broken(line, "there is no user before the comma")
			}
		default:
			noComma := r.state == arrayAfterValue
			r.state = arrayAfterValue
			r.out = item{line: line}
			if !r.object(c) {
				if err := r.value(c); err != nil {
					return nil, fmt.Errorf("line %d: %w", r.line, err)
				}
			}
			if noComma && !r.out.broken {
				return r.broken(line, "there is no comma between this user and the one before")
			}
			return &r.out, nil
		}
	}
}

// object takes the element that starts with c from the buffer, where it is an
// object without faults that the buffer has whole: nearly always.
func (r *array) object(c byte) bool {
	if c != '{' {
		return false
	}
	_ = r.in.UnreadByte()
	b, _ := r.in.Peek(r.in.Buffered())
	n := objectEnd(b)
	if n == 0 {
		_, _ = r.in.Discard(1)
		return false
	}
	r.out.raw = b[:n]
	r.line += bytes.Count(r.out.raw, []byte{'\n'})
	_, _ = r.in.Discard(n)
	return true
}

// objectEnd returns the length of the object at the beginning of b, 0 when it is
// not whole or its quotes and brackets are not as they should be.
func objectEnd(b []byte) int {
	var open [32]byte
	depth, before := 0, byte(0) // the last byte outside strings that is not white space
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch c {
		case '"':
			for i++; ; i++ {
				if i >= len(b) || b[i] == '\n' {
					return 0
				}
				if b[i] == '"' {
					break
				}
				if b[i] == '\\' {
					if i++; i < len(b) && b[i] == '\n' {
						return 0
					}
				}
			}
		case '{', '[':
			if depth == len(open) || c == '{' && depth > 0 && open[depth-1] == '{' && before != ':' {
				return 0
			}
			open[depth] = c
			depth++
		case '}', ']':
			if depth--; open[depth] != c-2 { // which is the opening bracket in ASCII
				return 0
			}
			if depth == 0 {
				return i + 1
			}
		case ' ', '\t', '\r', '\n':
			continue
		}
		before = c
	}
	return 0
}

// value reads the element that starts with c. It only follows brackets and
// quotes, so that an element that is not JSON still ends where it should.
func (r *array) value(c byte) error {
	fail := func(k rule, what string) error {
		r.out.broken, r.out.rule, r.out.what = true, k, what
		return nil
	}
	open := r.open[:0]
	defer func() { r.open = open }()
	inString, escaped, tooLong, tooDeep := false, false, false, false
	deeper := 0       // brackets beyond those in open
	before := byte(0) // the last byte outside strings that is not white space
	r.buf = r.buf[:0]
	for {
		if c == '{' && !inString && before != ':' && len(open) > 0 && open[len(open)-1] == '{' {
			// Where JSON wants a name there is an object: the next user. The one
			// before lacks a quote or a bracket.
			r.state = arrayAfterComma
			_ = r.in.UnreadByte()
			return fail(ruleArray, "the user is not closed before the next one starts")
		}
		if len(r.buf) < maxItem {
			r.buf = append(r.buf, c)
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
			if len(open) < maxDepth {
				open = append(open, c)
			} else {
				tooDeep = true
				deeper++
			}
		case (c == '}' || c == ']') && deeper > 0:
			deeper--
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
		next, err := r.in.ReadByte()
		if errors.Is(err, io.EOF) {
			r.state = arrayDone
			return fail(ruleArray, "the user that starts here is never closed, and nothing behind it could be read")
		}
		if err != nil {
			return err
		}
		if len(open) == 0 && !inString && (next == ',' || next == ']' || isSpace(next)) {
			_ = r.in.UnreadByte()
			break
		}
		if c = next; c == '\n' {
			r.line++
		}
	}
	if tooDeep {
		return fail(ruleJSON, fmt.Sprintf("the user has more than %d brackets within each other", maxDepth))
	}
	if tooLong {
		return fail(ruleTooLong, fmt.Sprintf("the user is longer than %d bytes", maxItem))
	}
	r.out.raw = r.buf
	return nil
}

// maxDepth bounds the brackets within each other, as encoding/json does.
const maxDepth = 10_000

// skipSpace returns the first byte that is not white space.
func (r *array) skipSpace() (byte, error) {
	for {
		c, err := r.in.ReadByte()
		if err != nil || !isSpace(c) {
			return c, err
		}
		if c == '\n' {
			r.line++
		}
	}
}
