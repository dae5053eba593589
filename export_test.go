package auth0

import (
	"io"
	"net/http"

	"github.com/headroom-go/auth0/ratelimit"
)

// DetailsOf returns what the throttle would learn of req, and a function that
// returns the body as it would be sent afterwards.
func DetailsOf(req *http.Request) (details ratelimit.Details, sent func() string) {
	x := &exchange{req: req}
	if hasBody(req) && req.GetBody == nil {
		x.body = &replayBody{src: req.Body}
	}
	return x, func() string {
		out, err := x.outgoing(req.Context())
		if err != nil {
			return err.Error()
		}
		b, err := io.ReadAll(out.Body)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
}

// Redact is what errors and logs do to texts of others.
var Redact = redact
