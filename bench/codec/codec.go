// Package codec measures the decoding and encoding of pages of the Management
// API, beside the official SDK. All decode the same text.
package codec

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	v1 "github.com/auth0/go-auth0/management"
	v3 "github.com/auth0/go-auth0/v3/management"
	v3client "github.com/auth0/go-auth0/v3/management/client"
	"github.com/auth0/go-auth0/v3/management/option"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/bench/speed"
	"github.com/headroom-go/auth0/management"
	"github.com/headroom-go/auth0/ratelimit"
)

// Who decodes and encodes.
const (
	Ours = speed.Ours
	V1   = "go-auth0 v1.45.0"
	V3   = "go-auth0 v3.0.0"
)

// The pages as ours has them: the entries are public types, the page around
// them is read by auth0.List.
type (
	userPage struct {
		Users []*management.User `json:"users"`
	}
	clientPage struct {
		Clients []*management.Client `json:"clients"`
	}
	connectionPage struct {
		Connections []*management.Connection `json:"connections"`
	}
)

// Cases returns everything that is measured, in the order of the table.
func Cases() []speed.Case {
	u, cl, co := users(), clients(), connections()
	cases := []speed.Case{
		{What: decoding("users"), Who: Ours, Over: V1, Times: 0.7, Bench: decode[userPage](u)},
		{What: decoding("users"), Who: V1, Bench: decode[v1.UserList](u)},
		{What: decoding("users"), Who: V3, Bench: decode[v3.ListUsersOffsetPaginatedResponseContent](u)},
		{What: decoding("clients"), Who: Ours, Bench: decode[clientPage](cl)},
		{What: decoding("clients"), Who: V1, Bench: decode[v1.ClientList](cl)},
		{What: decoding("clients"), Who: V3, Bench: decode[v3.ListClientsOffsetPaginatedResponseContent](cl)},
		{What: decoding("connections"), Who: Ours, Bench: decode[connectionPage](co)},
		{What: decoding("connections"), Who: V1, Bench: decode[v1.ConnectionList](co)},
		{What: decoding("connections"), Who: V3, Bench: decode[v3.ListConnectionsCheckpointPaginatedResponseContent](co)},
		{What: encoding("users"), Who: Ours, Bench: encode[userPage](u)},
		{What: encoding("users"), Who: V1, Bench: encode[v1.UserList](u)},
		{What: encoding("users"), Who: V3, Bench: encode[v3.ListUsersOffsetPaginatedResponseContent](u)},
		{What: encoding("clients"), Who: Ours, Bench: encode[clientPage](cl)},
		{What: encoding("clients"), Who: V1, Bench: encode[v1.ClientList](cl)},
		{What: encoding("clients"), Who: V3, Bench: encode[v3.ListClientsOffsetPaginatedResponseContent](cl)},
		{What: encoding("connections"), Who: Ours, Bench: encode[connectionPage](co)},
		{What: encoding("connections"), Who: V1, Bench: encode[v1.ConnectionList](co)},
		{What: encoding("connections"), Who: V3, Bench: encode[v3.ListConnectionsCheckpointPaginatedResponseContent](co)},
	}
	for _, l := range listers() {
		cases = append(cases, speed.Case{What: "list 50 users, answered from memory", Who: l.who, Bench: listing(l, u)})
	}
	return cases
}

func decoding(kind string) string { return fmt.Sprintf("decode %d %s", entries, kind) }
func encoding(kind string) string { return fmt.Sprintf("encode %d %s", entries, kind) }

// decode measures the decoding of text, once encoding/json knows the type.
func decode[T any](text []byte) func(*testing.B) {
	return func(b *testing.B) {
		speed.Processor(b, func() error {
			var v T
			return json.Unmarshal(text, &v)
		})
	}
}

// encode measures the encoding of what was decoded from text.
func encode[T any](text []byte) func(*testing.B) {
	return func(b *testing.B) {
		var v T
		if err := json.Unmarshal(text, &v); err != nil {
			b.Fatal(err)
		}
		speed.Processor(b, func() error {
			_, err := json.Marshal(&v)
			return err
		})
	}
}

// A lister has the list of users of an SDK, over any http.Client.
type lister struct {
	who string
	// open returns a function that lists a page, and counts it.
	open func(hc *http.Client) (func(context.Context) (int, error), error)
}

// planText is a plan under which nobody waits.
const planText = `plan  bench

[management]
name  burst     sustained   key     requests
all   10000000  10000000/s  tenant  global * /api/v2/*
`

const domain = "bench.eu.auth0.com"

func listers() []lister {
	return []lister{{Ours, listOurs}, {V1, listV1}, {V3, listV3}}
}

func listOurs(hc *http.Client) (func(context.Context) (int, error), error) {
	plan, err := ratelimit.Parse(planText)
	if err != nil {
		return nil, err
	}
	limiter, err := ratelimit.New(ratelimit.Options{Plan: plan})
	if err != nil {
		return nil, err
	}
	client, err := auth0.New(domain, auth0.WithToken("token"), auth0.WithHTTPClient(hc), auth0.WithLimiter(limiter))
	if err != nil {
		return nil, err
	}
	api := management.New(client)
	return func(ctx context.Context) (int, error) {
		p, err := api.Users.List(ctx, nil)
		if err != nil {
			return 0, err
		}
		return len(p.Items), nil
	}, nil
}

func listV1(hc *http.Client) (func(context.Context) (int, error), error) {
	api, err := v1.New(domain, v1.WithStaticToken("token"), v1.WithClient(hc))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (int, error) {
		p, err := api.User.List(ctx)
		if err != nil {
			return 0, err
		}
		return len(p.Users), nil
	}, nil
}

func listV3(hc *http.Client) (func(context.Context) (int, error), error) {
	api, err := v3client.New(domain, option.WithToken("token"), option.WithHTTPClient(hc))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (int, error) {
		p, err := api.Users.List(ctx, &v3.ListUsersRequestParameters{})
		if err != nil {
			return 0, err
		}
		return len(p.Results), nil
	}, nil
}

// memory answers every request with the same text.
type memory []byte

// RoundTrip implements http.RoundTripper.
func (m memory) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(m)), Body: io.NopCloser(bytes.NewReader(m)),
	}, nil
}

func listing(l lister, text []byte) func(*testing.B) {
	return func(b *testing.B) {
		list, err := l.open(&http.Client{Transport: memory(text)})
		if err != nil {
			b.Fatal(err)
		}
		ctx := context.Background()
		speed.Processor(b, func() error {
			n, err := list(ctx)
			if err == nil && n != entries {
				err = fmt.Errorf("%d users, want %d", n, entries)
			}
			return err
		})
	}
}
