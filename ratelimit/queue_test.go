package ratelimit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// gate is a limiter that lets one request at a time through, so that the order
// of admission is that of the queue alone.
func gate(tb testing.TB) (*Limiter, Ticket) {
	tb.Helper()
	l := newLimiter(tb, Options{Plan: planWith(jobsBucket(1))})
	return l, acquire(tb, l, to("/jobs"))
}

// line queues one request for each word, then lets all through one by one, and
// returns the words in the order of admission. A word is a flow; one that begins
// with + is interactive, with - batch, with ! turned back.
func line(tb testing.TB, words ...string) string {
	tb.Helper()
	l, held := gate(tb)
	var order []string
	var next Ticket
	for _, w := range words {
		r := to("/jobs")
		r.Flow = strings.TrimLeft(w, "+-!")
		r.Requeue = strings.Contains(w, "!")
		switch w[0] {
		case '+':
			r.Priority = PriorityInteractive
		case '-':
			r.Priority = PriorityBatch
		}
		l.Submit(r, func(tk Ticket, err error) { next, order = tk, append(order, w) })
	}
	for range words {
		held.Done(accepted())
		held = next
	}
	held.Done(accepted())
	return strings.Join(order, " ")
}

func TestOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, queued, want string }{
		{"first come first served", "a a a", "a a a"},
		{"priorities", "-x y +z -x y +z", "+z +z y y -x -x"},
		{"flows take turns", "a a a a b b c", "a b c a b a a"},
		{"turned back goes first", "a b !a c", "!a a b c"},
		{"turned back in its own priority", "+a b !c -!d -e", "+a !c b -!d -e"},
		{"turned back in order", "a !b !c !b", "!b !c !b a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := line(t, strings.Fields(c.queued)...); got != c.want {
				t.Errorf("queued %s: admitted %s, want %s", c.queued, got, c.want)
			}
		})
	}
}

// Flows that always have work get the same share, however much each has queued,
// and one that comes later has nothing to catch up on.
func TestFairShares(t *testing.T) {
	t.Parallel()
	l, held := gate(t)
	var next Ticket
	var order []string
	queue := func(flow string, n int) {
		for range n {
			r := to("/jobs")
			r.Flow = flow
			l.Submit(r, func(tk Ticket, _ error) { next, order = tk, append(order, flow) })
		}
	}
	pass := func(n int) map[string]int {
		order = nil
		for range n {
			held.Done(accepted())
			held = next
		}
		shares := make(map[string]int)
		for _, f := range order {
			shares[f]++
		}
		return shares
	}
	queue("big", 3000)
	queue("small", 200)
	queue("smaller", 100)
	if got := pass(300); got["big"] != 100 || got["small"] != 100 || got["smaller"] != 100 {
		t.Errorf("of 300: %v, want 100 each", got)
	}
	if got := pass(100); got["big"] != 50 || got["small"] != 50 {
		t.Errorf("of the next 100: %v, want 50 each", got)
	}
	if got := pass(500); got["big"] != 450 || got["small"] != 50 {
		t.Errorf("of the next 500: %v", got)
	}
	queue("late", 500)
	if got := pass(200); got["big"] != 100 || got["late"] != 100 {
		t.Errorf("of 200 since another came: %v, want 100 each", got)
	}
	pass(l.waiting)
	held.Done(accepted())
}

// A long queue for one bucket does not count against its flow at another, and
// what was cancelled was not served.
func TestFairnessForgives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := Bucket{Name: "slow", API: "test", Concurrent: 1, Matches: []Match{{Method: "POST", Path: "/slow"}}}
		l := newLimiter(t, Options{Plan: planWith(jobsBucket(1), slow)})
		held, heldSlow := acquire(t, l, to("/jobs")), acquire(t, l, to("/slow"))
		request := func(path, flow string) *Request { return &Request{Method: "POST", Path: path, Flow: flow} }
		var cancels []func() bool
		for range 100 {
			cancels = append(cancels,
				l.Submit(request("/slow", "a"), func(Ticket, error) {}),
				l.Submit(request("/jobs", "a"), func(Ticket, error) { t.Error("cancelled, yet admitted") }))
		}
		for i := 1; i < len(cancels); i += 2 {
			cancels[i]()
		}
		order := ""
		var next Ticket
		for flow := range strings.SplitSeq("aaaaabbbbb", "") {
			l.Submit(request("/jobs", flow), func(tk Ticket, _ error) { next, order = tk, order+flow })
		}
		for range 10 {
			held.Done(accepted())
			held = next
		}
		if order != "ababababab" {
			t.Errorf("admitted %s, want turns", order)
		}
		held.Done(accepted())
		for i := 0; i < len(cancels); i += 2 {
			cancels[i]()
		}
		heldSlow.Done(accepted())
	})
}

// Ever new flows do not keep an old one from its turns, nor do they fill the
// memory.
func TestNewFlowsForEver(t *testing.T) {
	t.Parallel()
	l, held := gate(t)
	var next Ticket
	old, n, gone := 0, 0, 9
	queue := func(flow string) {
		r := to("/jobs")
		r.Flow = flow
		l.Submit(r, func(tk Ticket, _ error) {
			next = tk
			if flow == "old" {
				old++
			} else {
				gone++
			}
		})
	}
	for range 1000 {
		queue("old")
	}
	for range 5000 {
		for n < gone { // nine wait, and one comes for each that goes
			n++
			queue(strconv.Itoa(n))
		}
		held.Done(accepted())
		held = next
		if m := len(l.fair[1].flows); m > 1000 {
			t.Fatalf("%d flows are remembered, 10 wait", m)
		}
	}
	if old < 490 || old > 510 {
		t.Errorf("one of ten flows had %d of 5000 turns, want 500", old)
	}
	for l.waiting > 0 {
		held.Done(accepted())
		held = next
	}
	held.Done(accepted())
	if m := len(l.fair[1].flows); m != 0 {
		t.Errorf("%d flows are remembered when none waits", m)
	}
}

// After 16 admissions of a higher priority one of a lower goes first.
func TestAgeing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ high, low Priority }{
		{PriorityInteractive, PriorityNormal}, {PriorityInteractive, PriorityBatch}, {PriorityNormal, PriorityBatch},
	} {
		l, held := gate(t)
		var next Ticket
		var order []Priority
		for range 100 {
			for _, p := range []Priority{c.low, c.high} {
				r := to("/jobs")
				r.Priority = p
				l.Submit(r, func(tk Ticket, _ error) { next, order = tk, append(order, p) })
			}
		}
		for range 100 {
			held.Done(accepted())
			held = next
		}
		for i, p := range order {
			want := c.high
			if i%17 == 16 {
				want = c.low
			}
			if p != want {
				t.Errorf("%d before %d: admission %d has priority %d, want %d", c.high, c.low, i+1, p, want)
			}
		}
		for range 100 {
			held.Done(accepted())
			held = next
		}
		held.Done(accepted())
	}
}

// Batch work is asked to leave a token or two to others, but not for ever: it
// passes as well where interactive requests take each token as it comes.
func TestBatchIsNotStarved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: planOf(50, 10, time.Second)}, "/x")
		ctx, cancel := context.WithTimeout(t.Context(), 180*time.Second)
		defer cancel()
		begin := time.Now()
		var batch, interactive atomic.Int64
		var wg sync.WaitGroup
		work := func(p Priority, count *atomic.Int64) {
			for {
				tk, err := l.Acquire(ctx, &Request{Method: "GET", Path: "/x", Priority: p})
				if err != nil {
					return
				}
				if time.Since(begin) > 10*time.Second { // the burst is used up
					count.Add(1)
				}
				time.Sleep(50 * time.Millisecond)
				tk.Done(accepted())
			}
		}
		for range 100 {
			wg.Go(func() { work(PriorityInteractive, &interactive) })
			wg.Go(func() { work(PriorityBatch, &batch) })
		}
		wg.Wait()
		if n := batch.Load(); n < 99 || n > 101 {
			t.Errorf("%d of 1,700 were batch, want each 17th", n)
		}
		if n := batch.Load() + interactive.Load(); n < 1698 || n > 1701 {
			t.Errorf("%d passed in 170 s at 10 a second", n)
		}
	})
}

// Interactive requests find a token where batch work has used all it may.
func TestBatchLeavesSome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := known(t, Options{Plan: planOf(50, 10, time.Second)}, "/x")
		var held []Ticket // unanswered until the end
		take := func(p Priority) (n int) {
			for {
				tk, ok := within(l, &Request{Method: "GET", Path: "/x", Priority: p}, 0)
				if !ok {
					return n
				}
				held = append(held, tk)
				n++
			}
		}
		take(PriorityBatch)
		if n := take(PriorityInteractive); n != 2 {
			t.Errorf("batch work left %d tokens, want 2", n)
		}
		for i := range held {
			held[i].Done(accepted())
		}
	})
}

// The queue agrees with a plain list at every step.
func TestLaneModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 5))
		l, held := gate(t)
		type entry struct {
			flow   string
			cancel func() bool
		}
		var waiting []*entry // in the order of arrival
		var last *entry
		var next Ticket
		for range 400 {
			switch r.IntN(5) {
			case 0, 1:
				e := &entry{flow: fmt.Sprint(r.IntN(4))}
				req := to("/jobs")
				req.Flow = e.flow
				e.cancel = l.Submit(req, func(tk Ticket, _ error) { next, last = tk, e })
				waiting = append(waiting, e)
			case 2:
				if len(waiting) > 0 {
					i := r.IntN(len(waiting))
					if !waiting[i].cancel() {
						t.Fatalf("seed %d: a waiter is gone", seed)
					}
					waiting = append(waiting[:i:i], waiting[i+1:]...)
				}
			default:
				if len(waiting) == 0 {
					break
				}
				held.Done(accepted())
				held = next
				for i, e := range waiting {
					if e == last {
						waiting = append(waiting[:i:i], waiting[i+1:]...)
						break
					}
					if e.flow == last.flow {
						t.Fatalf("seed %d: a request passed an earlier one of its flow", seed)
					}
				}
			}
			if l.waiting != len(waiting) {
				t.Fatalf("seed %d: %d wait, want %d", seed, l.waiting, len(waiting))
			}
		}
		for range waiting {
			held.Done(accepted())
			held = next
		}
		held.Done(accepted())
		if l.waiting != 0 {
			t.Errorf("seed %d: %d still wait", seed, l.waiting)
		}
	}
}
