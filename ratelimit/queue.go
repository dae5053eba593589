package ratelimit

import (
	"container/heap"
	"math"
	"time"
)

// class is one distinct set of buckets and the requests that wait for it, so
// that an exhausted group never holds up another.
type class struct {
	route   routeName // of the first request that drew from this set
	fixed   bool      // every request of that template and method draws from this set
	reserve float64
	client  uint64
	buckets []*bucket
	extra   []int64 // units to leave in each bucket: reserve

	levels  [3]lane // interactive, normal, batch
	waiting int
	active  bool // in the limiter's list of classes with waiters

	open      int64    // requests in flight
	quotable  bool     // quotas may apply: not the Management API
	blocked   int64    // ns: nothing is admitted before (unknown rejections, long Retry-After)
	blockedAt int64    // ns, when an unknown rejection last blocked it
	backoff   int64    // ns, of that
	quotas    []*quota // that headers have told of, of the class's client
}

// lane holds the waiters of one priority: those that the server turned back
// first, then the first of each flow by virtual start time, then the others,
// whose time is set when they become the first of their flow.
type lane struct {
	heap  waiters
	flows map[string]flowQueue
}

// flowQueue is the waiters of one flow in one lane, oldest first.
type flowQueue struct {
	first, last *waiter
	n           int64
}

// waiter is one request that waits.
type waiter struct {
	class *class
	req   *Request
	route routeName
	level int
	start int64 // virtual start time of fair queueing; inFront when turned back, behind when not first of its flow
	seq   uint64
	index int // in its heap, -1 when not queued
	since int64

	prev, next *waiter // in its flow

	ticket Ticket
	ready  chan struct{}       // Acquire
	fn     func(Ticket, error) // Submit
}

const (
	inFront = math.MinInt64
	behind  = math.MaxInt64
)

type waiters []*waiter

func (h waiters) Len() int           { return len(h) }
func (h waiters) Less(i, j int) bool { return h[i].before(h[j]) }
func (h waiters) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *waiters) Push(x any) {
	w := x.(*waiter)
	w.index = len(*h)
	*h = append(*h, w)
}
func (h *waiters) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	w.index = -1
	return w
}

// before orders waiters of one priority.
func (w *waiter) before(o *waiter) bool {
	return w.start < o.start || w.start == o.start && w.seq < o.seq
}

// push adds a waiter. If it is the first of its flow, it starts at the given
// virtual time.
func (q *lane) push(w *waiter, start int64) {
	if w.start == inFront {
		heap.Push(&q.heap, w)
		return
	}
	f := q.flows[w.req.Flow]
	w.prev, w.next, w.start = f.last, nil, behind
	for w.prev != nil && w.prev.seq > w.seq { // only after a change of plan
		w.prev, w.next = w.prev.prev, w.prev
	}
	if w.next != nil {
		w.next.prev = w
	} else {
		f.last = w
	}
	if w.prev != nil {
		w.prev.next = w
	} else {
		f.first, w.start = w, start
		if w.next != nil {
			w.next.start = behind
			heap.Fix(&q.heap, w.next.index)
		}
	}
	heap.Push(&q.heap, w)
	f.n++
	if q.flows == nil {
		q.flows = make(map[string]flowQueue)
	}
	q.flows[w.req.Flow] = f
}

// remove takes a waiter out. The flow's next one starts at the given virtual
// time.
func (q *lane) remove(w *waiter, start int64) {
	heap.Remove(&q.heap, w.index)
	if w.start == inFront {
		return
	}
	f := q.flows[w.req.Flow]
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		f.last = w.prev
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		f.first = w.next
		if w.next != nil {
			w.next.start = start
			heap.Fix(&q.heap, w.next.index)
		}
	}
	w.prev, w.next = nil, nil
	f.n--
	if f.first == nil {
		delete(q.flows, w.req.Flow)
	} else {
		q.flows[w.req.Flow] = f
	}
}

// fairness orders the flows of a priority by virtual time (start-time fair
// queueing with equal weights): a flow's next request starts where its last one
// ended, or now if it has been idle. What was queued and cancelled is not held
// against a flow, and what it was given of other buckets counts no more than one
// turn, since virtual time has moved on with it.
//
// Virtual time advances by a turn when each flow that waits has had one, so that
// ever new flows do not keep an old one from its next turn.
type fairness [3]virtualTime

type virtualTime struct {
	now     int64
	flows   map[string]flowTime
	waiting int // flows that have waiters
	tidyAt  int // number of flows at which idle ones are forgotten
}

// flowTime is when a flow's last turn ends.
type flowTime struct {
	end     int64
	waiting int
}

// turn is the virtual length of one request.
const turn = 1 << 20

// start returns the virtual time at which a flow's next request starts.
func (v *virtualTime) start(flow string) int64 { return max(v.now, v.flows[flow].end) }

// join notes a waiter of a flow.
func (v *virtualTime) join(flow string) {
	if v.flows == nil {
		v.flows = make(map[string]flowTime)
	}
	f := v.flows[flow]
	if f.waiting++; f.waiting == 1 {
		v.waiting++
	}
	v.flows[flow] = f
}

// leave notes that a waiter of a flow is gone: served, or given up.
func (v *virtualTime) leave(flow string, start int64, served bool) {
	f := v.flows[flow]
	if served {
		v.now = max(v.now+turn/int64(v.waiting), start)
		f.end = max(f.end, start+turn)
	}
	if f.waiting--; f.waiting == 0 {
		v.waiting--
	}
	v.flows[flow] = f
	if v.waiting == 0 {
		// Nobody waits: all flows begin anew as equals.
		if len(v.flows) > 64 {
			v.flows, v.tidyAt = nil, 0
		}
		clear(v.flows)
		return
	}
	if len(v.flows) > v.tidyAt {
		for k, f := range v.flows {
			if f.waiting == 0 && f.end <= v.now {
				delete(v.flows, k)
			}
		}
		v.tidyAt = 2*len(v.flows) + 64
	}
}

// ageLimit is how many requests of higher priority may overtake a waiting one:
// after that many, one of the lower priority goes first.
const ageLimit = 16

func levelOf(p Priority) int {
	switch {
	case p > 0:
		return 0
	case p < 0:
		return 2
	}
	return 1
}

// push queues a new waiter.
func (l *Limiter) push(w *waiter) {
	if w.req.Requeue {
		w.start = inFront
	} else {
		l.fair[w.level].join(w.req.Flow)
	}
	l.seq++
	w.seq = l.seq
	l.requeue(w)
}

// requeue puts a waiter into its class's queue at the place that it has.
func (l *Limiter) requeue(w *waiter) {
	c := w.class
	c.levels[w.level].push(w, l.fair[w.level].start(w.req.Flow))
	c.waiting++
	l.waiting++
	if !c.active {
		c.active = true
		l.active = append(l.active, c)
	}
}

// unlink takes a waiter out of its queue whose caller has given up.
func (l *Limiter) unlink(w *waiter) { l.remove(w, false) }

func (l *Limiter) remove(w *waiter, served bool) {
	v, next := &l.fair[w.level], w.start
	if w.start != inFront {
		v.leave(w.req.Flow, w.start, served)
		if served {
			next = v.start(w.req.Flow)
		}
	}
	w.class.levels[w.level].remove(w, next)
	w.class.waiting--
	l.waiting--
}

// head returns the first waiter of a lane, or nil.
func (l *Limiter) head(c *class, level int) *waiter {
	q := &c.levels[level]
	for len(q.heap) > 0 {
		w := q.heap[0]
		end := l.fair[level].flows[w.req.Flow].end
		if w.start == inFront || w.start >= end {
			return w
		}
		w.start = end // its flow has had a turn in another class since
		heap.Fix(&q.heap, 0)
	}
	return nil
}

// dispatch admits every waiter that has room, in order, and sets the alarm for
// the next. It returns waiters whose callbacks are to be called without the lock.
func (l *Limiter) dispatch(now int64) []*waiter {
	var calls []*waiter
	for l.waiting > 0 {
		w := l.pick(now)
		if w == nil {
			break
		}
		l.remove(w, true)
		w.ticket = l.admit(w.class, w.route, w.since, now)
		if w.fn != nil {
			calls = append(calls, w)
		} else {
			w.ready <- struct{}{}
		}
	}
	l.prune()
	l.arm(now)
	return calls
}

// pick returns the waiter to admit next: of the highest priority that has one
// with room, unless a lower one has been overtaken too often; among classes the
// earliest virtual start.
func (l *Limiter) pick(now int64) *waiter {
	// aged are those that would have room without the extra that batch work
	// leaves to others, which must not keep it waiting for ever.
	var best, aged [3]*waiter
	for _, c := range l.active {
		for level := range c.levels {
			w := l.head(c, level)
			if w == nil {
				continue
			}
			if b := best[level]; b == nil || w.before(b) {
				if l.ready(c, level, now) {
					best[level] = w
				} else if a := aged[level]; level == 2 && (a == nil || w.before(a)) && l.ready(c, 1, now) {
					aged[level] = w
				}
			}
		}
	}
	for level := len(best) - 1; level > 0; level-- {
		w := best[level]
		if a := aged[level]; w == nil || a != nil && a.before(w) {
			w = a
		}
		if w != nil && l.overtaken[level] >= ageLimit {
			l.overtaken[level] = 0
			return w
		}
	}
	for level, w := range best {
		if w == nil {
			continue
		}
		for lower := level + 1; lower < len(best); lower++ {
			if best[lower] != nil || aged[lower] != nil {
				l.overtaken[lower]++
			}
		}
		l.overtaken[level] = 0
		return w
	}
	return nil
}

// prune drops classes without waiters from the active list.
func (l *Limiter) prune() {
	kept := l.active[:0]
	for _, c := range l.active {
		if c.waiting > 0 {
			kept = append(kept, c)
		} else {
			c.active = false
		}
	}
	clear(l.active[len(kept):])
	l.active = kept
}

// arm sets the alarm to the earliest time at which a waiter can go.
func (l *Limiter) arm(now int64) {
	at := int64(never)
	for _, c := range l.active {
		for level := range c.levels {
			if l.head(c, level) != nil {
				at = min(at, l.readyAt(c, level, now))
			}
		}
	}
	if at == l.alarm {
		return
	}
	l.alarm = at
	if at == never {
		if l.timer != nil {
			l.timer.Stop()
		}
		return
	}
	d := time.Duration(max(at-now, 0))
	if l.timer == nil {
		l.timer = l.clock.AfterFunc(d, l.wake)
		return
	}
	l.timer.Reset(d)
}
