package ratelimit

import (
	"hash/maphash"
	"slices"
)

// sighting is a limit that the server has shown for a request, from which the
// plan "auto" is to be narrowed down.
type sighting struct {
	request          Request
	limit, remaining int64
}

// sight notes a limit that no bucket of the request has, once for each route.
// It is looked up without the lock: see recognise.
func (l *Limiter) sight(route routeName, limit, remaining int64) {
	key := route.String()
	if l.shown[key] == limit {
		return
	}
	if l.shown == nil {
		l.shown = make(map[string]int64)
	}
	l.shown[key] = limit
	l.sighted = append(l.sighted, sighting{Request{Method: route.method, Template: route.template, Path: route.template}, limit, remaining})
}

// recognise narrows the published plans down to those that agree with all that
// has been sighted, and changes to the most careful of them. When none does, the
// plan stays as it is, with the limits that the server shows.
func (l *Limiter) recognise(sighted []sighting) {
	for _, s := range sighted {
		fit := Candidates(&s.request, s.limit)
		now := l.now()
		l.mu.Lock()
		if l.candidates != nil {
			fit = slices.DeleteFunc(fit, func(p *Plan) bool { return !slices.Contains(l.candidates, p) })
		}
		var calls []*waiter
		if len(fit) > 0 {
			l.candidates = fit
			if p := fit[0]; p != l.plan.Load() {
				open := l.change(p, now)
				l.believe(p, &s, open)
				calls = l.dispatch(now)
			}
		}
		l.unlock(calls)
	}
}

// believe sets the bucket that a sighting spoke of, now that it is known which,
// to what the server had left, less all requests in flight.
func (l *Limiter) believe(p *Plan, s *sighting, open int64) {
	c := l.classify(&s.request, p.Route(&s.request), 0)
	var b *bucket
	for _, o := range c.buckets {
		if o.slots != nil || o.burst != s.limit {
			continue
		}
		if b != nil {
			return // two that it may be
		}
		b = o
	}
	if b != nil {
		b.probe, b.blocked = 0, 0
		b.sure = s.remaining - open
		b.level = b.units(b.sure)
	}
}

// change puts another plan in force. Buckets keep their state by name; waiting
// requests are routed anew. It returns how many requests are in flight.
func (l *Limiter) change(p *Plan, now int64) (open int64) {
	for _, c := range l.classes {
		open += c.open
	}
	l.plan.Store(p)
	specs := make(map[string]*Bucket, len(p.Buckets))
	for i := range p.Buckets {
		specs[p.Buckets[i].Name] = &p.Buckets[i]
	}
	for k, b := range l.buckets {
		spec := specs[k.name]
		if spec == nil || (b.slots != nil) != (spec.Concurrent > 0) {
			delete(l.buckets, k)
			continue
		}
		b.spec = spec
		if b.slots != nil {
			b.slots.limit = spec.Concurrent
			continue
		}
		b.advance(now)
		b.setLimit(spec.Burst, spec.Rate)
		b.learned = false
	}
	var waiting []*waiter
	for _, c := range l.active {
		for i := range c.levels {
			waiting = append(waiting, c.levels[i].heap...)
		}
		c.active = false
	}
	l.active, l.waiting = nil, 0
	clear(l.classes)
	l.latest.Store(nil)
	for _, w := range waiting {
		rt := p.Route(w.req)
		w.class = l.classify(w.req, rt, l.clientOf(w.req, p, rt))
		l.requeue(w)
	}
	if l.hooks != nil {
		l.hook(l.hooks.Learned, Event{Detail: "plan " + p.Name})
	}
	return open
}

// readQuotas takes over the figures of separate quotas and reports whether one
// of them is used up.
func (l *Limiter) readQuotas(t *Ticket, o *Outcome, now int64) (exhausted bool) {
	c := t.c
	for _, f := range readQuotas(o.Header) {
		i := slices.IndexFunc(c.quotas, func(q *quota) bool { return q.name == f.name })
		if i < 0 {
			i = len(c.quotas)
			c.quotas = append(c.quotas, &quota{})
			l.quotas.Store(true)
		}
		c.quotas[i].read(f, now, c.open)
		exhausted = exhausted || f.remaining == 0
	}
	return exhausted
}

// unquota gives back what a request that was not sent had taken from quotas.
func (t *Ticket) unquota() {
	for _, q := range t.c.quotas {
		q.left = min(q.left+1, q.limit)
	}
}

// clientOf tells quotas apart: they hold for an application and a grant. It is 0
// until there are any, and for requests that none apply to.
func (l *Limiter) clientOf(r *Request, p *Plan, rt Route) uint64 {
	if r.Details == nil || !l.quotas.Load() ||
		!slices.ContainsFunc(rt.Buckets[:rt.N], func(i uint16) bool { return p.Buckets[i].API != "management" }) {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(identitySeed())
	for _, f := range [...]string{"client_id", "grant_type", "organization"} {
		h.WriteString(r.Details.BodyField(f))
		h.WriteByte(0)
	}
	return h.Sum64()
}
