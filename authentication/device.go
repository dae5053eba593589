package authentication

import (
	"context"
	"time"

	"github.com/headroom-go/auth0"
)

// DeviceService logs users in on devices that have no browser.
type DeviceService struct{ c hidden[*core] }

// DeviceAuthorize are the parameters of a login on a device.
type DeviceAuthorize struct {
	Scope    string `url:"scope,omitempty"`
	Audience string `url:"audience,omitempty"`
	// Resource names the API in place of Audience, in tenants set up so.
	Resource string `url:"resource,omitempty"`
}

// DeviceCode is a login on a device under way. Show the user UserCode and
// VerificationURI, or VerificationURIComplete as a QR code. Printed it shows no
// device code.
type DeviceCode struct {
	redacted[DeviceCode]

	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	// ExpiresIn is how many seconds the user has.
	ExpiresIn int64 `json:"expires_in"`
	// Interval is the least number of seconds between polls.
	Interval int64 `json:"interval"`
}

// Authorize begins a login.
//
//auth0:op POST /oauth/device/code
func (s DeviceService) Authorize(ctx context.Context, p *DeviceAuthorize, opts ...auth0.RequestOption) (*DeviceCode, error) {
	return postForm[*DeviceCode](ctx, s.c(), "/oauth/device/code", p, secretOnly, opts)
}

// Token asks once whether the user has logged in: CodeOf its error is
// AuthorizationPending while not. Grant type
// urn:ietf:params:oauth:grant-type:device_code. Wait asks for as long as it
// takes.
//
//auth0:op POST /oauth/token
func (s DeviceService) Token(ctx context.Context, deviceCode string, opts ...auth0.RequestOption) (*TokenSet, error) {
	return grant(ctx, s.c(), "urn:ietf:params:oauth:grant-type:device_code", &deviceGrant{deviceCode}, opts)
}

type deviceGrant struct {
	DeviceCode string `url:"device_code,omitempty" need:"yes"`
}

// Wait returns the tokens when the user has logged in. It asks no more often
// than the tenant allows and slows down when told to. It ends with an *Error
// whose Code is ExpiredToken or AccessDenied, or with ctx: at once where no poll
// is possible before the deadline.
func (s DeviceService) Wait(ctx context.Context, d *DeviceCode, opts ...auth0.RequestOption) (*TokenSet, error) {
	return poll(ctx, d.Interval, d.ExpiresIn, func(ctx context.Context) (*TokenSet, error) {
		return s.Token(ctx, d.DeviceCode, opts...)
	})
}

// defaultInterval is the time between polls where the server gives none, and
// what slow_down adds to it (RFC 8628, section 3.5).
const defaultInterval = 5 * time.Second

// longestInterval bounds what failing polls grow to.
const longestInterval = time.Minute

// poll asks every so many seconds, first after one interval, for tokens that a
// user has to allow. life is how many seconds the user has, 0 when not known.
func poll(ctx context.Context, interval, life int64, ask func(context.Context) (*TokenSet, error)) (*TokenSet, error) {
	wait := seconds(interval)
	if wait == 0 {
		wait = defaultInterval
	}
	var end time.Time
	if life > 0 {
		end = time.Now().Add(seconds(life))
	}
	pause := wait
	for {
		next := time.Now().Add(pause)
		if !end.IsZero() && next.After(end) {
			return nil, &Error{Code: ExpiredToken, Description: "the user has not answered in time"}
		}
		if deadline, ok := ctx.Deadline(); ok && next.After(deadline) {
			return nil, context.DeadlineExceeded
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
		t, err := ask(ctx)
		if err == nil || ctx.Err() != nil {
			return t, err
		}
		switch e, again := pollAgain(err); {
		case !again:
			return nil, err
		case e == nil: // no answer, or a failing server: ask less often
			pause = min(pause*2, max(longestInterval, wait))
		case e.Code == SlowDown:
			wait = max(wait+defaultInterval, e.Interval)
			pause = wait
		default:
			pause = wait
		}
	}
}

// pollAgain tells whether another poll may succeed, with the answer where the
// server gave one that says so.
func pollAgain(err error) (*Error, bool) {
	e := asError(err)
	if e != nil && (e.Code == AuthorizationPending || e.Code == SlowDown) {
		return e, true
	}
	return nil, isOutage(err)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
