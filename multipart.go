package auth0

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"strings"
)

// Multipart is a multipart/form-data body, as bulk imports of users take it.
// Pass a pointer to one as the body of Call. It can be sent again after a
// rejection, since its parts stay in memory; it must not be changed while a
// call is under way.
type Multipart struct {
	Parts []Part
}

// Part is one field or file of a Multipart.
type Part struct {
	// Name is the field's name.
	Name string
	// FileName makes the part a file. Empty for a plain field.
	FileName string
	// ContentType is the media type; empty is application/octet-stream for a
	// file and no header for a field.
	ContentType string
	// Data is the value. It is not copied.
	Data []byte
}

// Field adds a plain field and returns m, so that calls can be chained.
func (m *Multipart) Field(name, value string) *Multipart {
	m.Parts = append(m.Parts, Part{Name: name, Data: []byte(value)})
	return m
}

// File adds a file and returns m. The data is not copied.
func (m *Multipart) File(name, fileName, contentType string, data []byte) *Multipart {
	m.Parts = append(m.Parts, Part{Name: name, FileName: fileName, ContentType: contentType, Data: data})
	return m
}

// encode returns the body in segments that share the memory of the parts, and
// its content type.
func (m *Multipart) encode() (segments [][]byte, contentType string, err error) {
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, "", err
	}
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	if err := w.SetBoundary("headroom-" + hex.EncodeToString(random[:])); err != nil {
		return nil, "", err
	}
	for i, p := range m.Parts {
		if p.Name == "" {
			return nil, "", fmt.Errorf("auth0: part %d of the multipart body has no name", i)
		}
		h := textproto.MIMEHeader{}
		disposition := `form-data; name="` + quoteParam(p.Name) + `"`
		if p.FileName != "" {
			disposition += `; filename="` + quoteParam(p.FileName) + `"`
		}
		h.Set("Content-Disposition", disposition)
		if p.ContentType != "" {
			h.Set("Content-Type", oneLine(p.ContentType))
		} else if p.FileName != "" {
			h.Set("Content-Type", "application/octet-stream")
		}
		if _, err := w.CreatePart(h); err != nil {
			return nil, "", err
		}
		segments = append(segments, bytes.Clone(buf.Bytes()), p.Data)
		buf.Reset()
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return append(segments, bytes.Clone(buf.Bytes())), w.FormDataContentType(), nil
}

func quoteParam(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "%0D", "\n", "%0A").Replace(s)
}

func oneLine(s string) string {
	return strings.NewReplacer("\r", "", "\n", "").Replace(s)
}

// segmentReader reads segments one after another.
func segmentReader(segments [][]byte) io.Reader {
	readers := make([]io.Reader, len(segments))
	for i, s := range segments {
		readers[i] = bytes.NewReader(s)
	}
	return io.MultiReader(readers...)
}
