package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// tenant takes import jobs and finishes them at once. It keeps of each user that
// it is there.
type tenant struct {
	mu    sync.Mutex
	there []uint64 // a bit for each user, by number
	seen  counts
	jobs  map[string]string // id to the JSON of the finished job
}

// servePeer is a tenant until in ends. It prints its address, and at the end what
// it has seen.
func servePeer(in io.Reader, out io.Writer) error {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	t := &tenant{jobs: make(map[string]string)}
	s := &http.Server{Handler: t.routes(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	if _, err := fmt.Fprintf(out, "http://%s\n", l.Addr()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	err = errors.Join(err, s.Close())
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return errors.Join(err, json.NewEncoder(out).Encode(t.seen))
}

func (t *tenant) routes() http.Handler {
	const connection = `{"id":"con_0000000000000001","name":"Username-Password-Authentication","strategy":"auth0"}`
	mux := http.NewServeMux()
	say := func(w http.ResponseWriter, status int, body string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // whoever is gone misses it
	}
	mux.HandleFunc("GET /api/v2/connections", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("include_totals") == "true" {
			say(w, http.StatusOK, `{"start":0,"limit":50,"total":1,"connections":[`+connection+`]}`)
			return
		}
		say(w, http.StatusOK, `[`+connection+`]`)
	})
	mux.HandleFunc("POST /api/v2/jobs/users-imports", func(w http.ResponseWriter, r *http.Request) {
		job, err := t.take(r)
		if err != nil {
			say(w, http.StatusBadRequest, `{"statusCode":400,"error":"Bad Request","message":"bad import"}`)
			return
		}
		say(w, http.StatusAccepted, job)
	})
	mux.HandleFunc("GET /api/v2/jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		t.mu.Lock()
		job := t.jobs[r.PathValue("id")]
		t.mu.Unlock()
		if job == "" {
			say(w, http.StatusNotFound, `{"statusCode":404,"error":"Not Found","message":"no such job"}`)
			return
		}
		say(w, http.StatusOK, job)
	})
	mux.HandleFunc("GET /api/v2/jobs/{id}/errors", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

// take imports the users of a request.
func (t *tenant) take(r *http.Request) (job string, err error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return "", err
	}
	var users []struct {
		UserID string `json:"user_id"`
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if part.FormName() == "users" {
			if err := json.NewDecoder(part).Decode(&users); err != nil {
				return "", err
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range users {
		t.add(users[i].UserID)
	}
	id := fmt.Sprintf("job_%016d", len(t.jobs)+1)
	common := `"id":"` + id + `","type":"users_import","connection_id":"con_0000000000000001","created_at":"` + time.Now().UTC().Format("2006-01-02T15:04:05.000Z") + `"`
	t.jobs[id] = fmt.Sprintf(`{%s,"status":"completed","percentage_done":100,"summary":{"failed":0,"updated":0,"inserted":%d,"total":%[2]d}}`, common, len(users))
	return `{` + common + `,"status":"pending"}`, nil
}

func (t *tenant) add(id string) {
	n, err := strconv.Atoi(string(bytes.TrimPrefix([]byte(id), []byte("u"))))
	if err != nil || n < 0 || n > 1<<30 {
		t.seen.Strange++
		return
	}
	for len(t.there) <= n/64 {
		t.there = append(t.there, 0)
	}
	if bit := uint64(1) << (n % 64); t.there[n/64]&bit != 0 {
		t.seen.Twice++
	} else {
		t.there[n/64] |= bit
		t.seen.Users++
	}
}
