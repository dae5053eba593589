package main

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// A meter lies between the throttle and the network and counts the requests to
// the API that really leave.
type meter struct {
	base http.RoundTripper

	mu sync.Mutex
	traffic
}

type traffic struct {
	inFlight, sent, lost int
	first, last          time.Time // when the first and the last request left
}

// RoundTrip sends the request.
func (m *meter) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(req.URL.Path, "/api/") {
		return m.base.RoundTrip(req) // a token
	}
	m.mu.Lock()
	m.inFlight++
	m.sent++
	m.last = time.Now()
	if m.first.IsZero() {
		m.first = m.last
	}
	m.mu.Unlock()
	resp, err := m.base.RoundTrip(req)
	m.mu.Lock()
	m.inFlight--
	if err != nil {
		m.lost++
	}
	m.mu.Unlock()
	return resp, err
}

func (m *meter) look() traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.traffic
}
