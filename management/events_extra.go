package management

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/headroom-go/auth0"
)

// Error returns the code and the message, which makes an EventError an error: EventsService.Subscribe ends with one when the server
// says that events cannot go on from where they were.
func (e *EventError) Error() string { return "auth0: events: " + string(e.Code) + ": " + e.Message }

const (
	eventErrorType = "error"
	offsetOnlyType = "offset-only"
	firstReconnect = time.Second
	lastReconnect  = 30 * time.Second
	steady         = 5 * time.Second // what lasted so long was well, if quiet
)

// subscribe is the body of EventsService.Subscribe. It asks for the events after the last one that came whenever the connection ends,
// so that none is missed and none comes twice. Only ctx, a refusal by the server, a position that the server no longer has, or a
// first connection that cannot be made at all end it.
func subscribe(ctx context.Context, c *auth0.Client, path string, params *EventSubscribeParams, opts []auth0.RequestOption) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		var p EventSubscribeParams
		if params != nil {
			p = *params
		}
		// A bound on attempts is meant for answers that end; one that is given to this call counts.
		opts := slices.Concat([]auth0.RequestOption{auth0.AttemptTimeout(0)}, opts, []auth0.RequestOption{auth0.Header("Accept", "text/event-stream")})
		delays := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstReconnect), backoff.WithMaxInterval(lastReconnect), backoff.WithMaxElapsedTime(0))
		connected := false
		for {
			query, err := auth0.QueryOf(&p)
			if err != nil {
				yield(nil, err)
				return
			}
			resp, err := c.Do(ctx, "GET", path, nil, query, nil, opts...)
			if err == nil {
				var stop bool
				began := time.Now()
				connected = true
				stop, err = readEvents(resp.Body, &p, delays.Reset, yield)
				_ = resp.Body.Close()
				if stop {
					return
				}
				if time.Since(began) > steady {
					delays.Reset()
				}
			}
			status := 0 // of no answer: the network failed, or there was nothing to send
			if refused, ok := errors.AsType[*auth0.Error](err); ok {
				status = refused.Status
			}
			_, lost := errors.AsType[*EventError](err)
			switch {
			case ctx.Err() != nil:
				yield(nil, ctx.Err())
				return
			case lost, status == 0 && !connected, status > 0 && status < 500 && status != 429:
				yield(nil, err)
				return
			}
			wait := time.NewTimer(delays.NextBackOff())
			select {
			case <-ctx.Done():
				wait.Stop()
				yield(nil, ctx.Err())
				return
			case <-wait.C:
			}
		}
	}
}

// readEvents hands on the events of one connection and notes in p where the next has to start. It reports whether the caller wants no
// more; an *EventError says that there is no going on.
func readEvents(body io.Reader, p *EventSubscribeParams, alive func(), yield func(*Event, error) bool) (stop bool, err error) {
	r := bufio.NewReader(body)
	var data []byte
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return false, err // an event that was cut off comes again
		}
		line = bytes.TrimRight(line, "\r\n")
		if value, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(append(data, bytes.TrimPrefix(value, []byte(" "))...), '\n')
			continue
		}
		if len(line) > 0 || len(data) == 0 {
			continue
		}
		e := new(Event)
		err = auth0.Decode(data, e)
		data = data[:0]
		if _, partial := errors.AsType[*auth0.PartialError](err); err != nil && !partial {
			continue // not JSON
		}
		if e.Offset != "" {
			p.From, p.FromTimestamp = e.Offset, ""
		}
		if e.Type == eventErrorType {
			if e.Error.Offset != "" {
				p.From, p.FromTimestamp = e.Error.Offset, ""
			}
			if e.Error.Code == EventErrorCodeInvalidCursor || e.Error.Code == EventErrorCodeCursorExpired || e.Error.Code == EventErrorCodePayloadTooLarge {
				return false, &e.Error
			}
			return false, io.EOF
		}
		alive()
		if e.Type != offsetOnlyType && !yield(e, nil) {
			return true, nil
		}
	}
}
