package auth0test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/headroom-go/auth0/internal/enforce"
)

// underPolicy reports whether custom rate limit policies count an endpoint.
func underPolicy(path string) bool {
	switch path {
	case "/oauth/token", "/authorize", "/oauth/device/code", "/passwordless/start", "/passwordless/verify",
		"/oauth/par", "/oauth/revoke", "/bc-authorize", "/co/authenticate", "/passkey/challenge", "/passkey/register":
		return true
	}
	return false
}

// policyResult is what the custom policy that applies to a request decided.
type policyResult struct {
	quota     int64
	interval  int64 // s
	remaining int64
	rejected  bool
	until     time.Duration
}

// write shows the policy in an answer's header.
func (p *policyResult) write(h http.Header) {
	h.Set("Auth0-Ratelimit", fmt.Sprintf("client;q=%d;t=%d;r=%d", p.quota, p.interval, p.remaining))
}

// checkPolicies charges a request to the custom policy that applies to it, nil
// when none does.
func (t *Tenant) checkPolicies(c *call) *policyResult {
	if len(t.o.Policies) == 0 || !underPolicy(c.path) {
		return nil
	}
	id := c.clientID()
	p, counter := t.policyOf(id)
	if p == nil {
		return nil
	}
	interval := max(p.Interval, time.Second)
	b := t.policies[counter]
	if b == nil {
		b = enforce.New(p.Quota, max(1, p.Quota), interval, interval)
		t.policies[counter] = b
	}
	passed := b.Take(c.now)
	return &policyResult{
		quota: p.Quota, interval: int64(interval / time.Second), remaining: b.Level(c.now),
		rejected: !passed && !p.LogOnly, until: b.WindowEnd(c.now),
	}
}

// policyOf returns the policy for an application and the name of its counter.
func (t *Tenant) policyOf(id string) (*Policy, string) {
	group := ""
	switch {
	case strings.HasPrefix(id, "https://"):
		group = "cimd_clients"
	case strings.HasPrefix(id, "tpc_"), strings.HasPrefix(id, "tpa_"):
		group = "third_party_clients"
	}
	for _, want := range []struct{ selector, counter string }{
		{"client_id:" + id, "client_id:" + id},
		{group, group},
		{"default", "default " + id},
	} {
		for i := range t.o.Policies {
			if want.selector != "" && t.o.Policies[i].Selector == want.selector {
				return &t.o.Policies[i], want.counter
			}
		}
	}
	return nil, ""
}

// quotaUse is what an application or organization has used of its token quota.
type quotaUse struct {
	hour, day         time.Duration // beginnings of the periods counted
	usedHour, usedDay int64
}

// quotaBucket is one period of a quota in force.
type quotaBucket struct {
	name      string
	quota     int64
	remaining int64
	until     time.Duration
}

// quotaOf returns the periods of a quota, those that do not bound left out.
func (t *Tenant) quotaOf(owner string, q Quota, now time.Duration) (*quotaUse, []quotaBucket) {
	u := t.quotas[owner]
	if u == nil {
		u = &quotaUse{}
		t.quotas[owner] = u
	}
	// UTC hours and days begin at multiples of their length since the epoch.
	if h := now.Truncate(time.Hour); h != u.hour {
		u.hour, u.usedHour = h, 0
	}
	if d := now.Truncate(24 * time.Hour); d != u.day {
		u.day, u.usedDay = d, 0
	}
	var periods []quotaBucket
	if q.PerHour > 0 {
		periods = append(periods, quotaBucket{"per_hour", q.PerHour, q.PerHour - u.usedHour, u.hour + time.Hour})
	}
	if q.PerDay > 0 {
		periods = append(periods, quotaBucket{"per_day", q.PerDay, q.PerDay - u.usedDay, u.day + 24*time.Hour})
	}
	return u, periods
}

// quotaHeader shows the periods of a quota.
func quotaHeader(periods []quotaBucket, now time.Duration) string {
	var parts []string
	for _, p := range periods {
		parts = append(parts, fmt.Sprintf("b=%s;q=%d;r=%d;t=%d", p.name, p.quota, p.remaining, ceilSeconds(p.until-now)))
	}
	return strings.Join(parts, ",")
}

// checkQuotas counts a machine-to-machine token against the quotas of its
// application and organization. It returns the headers to show, or the
// rejection. A rejected token has already counted toward the Authentication API.
func (t *Tenant) checkQuotas(c *call, client Client, organization string) (http.Header, *answer) {
	type owner struct {
		name, header string
		form         Form
		quota        Quota
	}
	perClient := t.o.ClientQuota
	if client.Quota != (Quota{}) {
		perClient = client.Quota
	}
	owners := []owner{{"client " + client.ID, "Auth0-Client-Quota-Limit", FormClientQuota, perClient}}
	if organization != "" {
		owners = append(owners, owner{"organization " + organization, "Auth0-Organization-Quota-Limit", FormOrganizationQuota, t.o.OrganizationQuota})
	}
	for _, o := range owners {
		_, periods := t.quotaOf(o.name, o.quota, c.now)
		for _, p := range periods {
			if p.remaining > 0 {
				continue
			}
			a := o.form.answer()
			a.header.Set(o.header, quotaHeader(periods, c.now))
			a.header.Set("Retry-After", retryAfter(c.now, p.until))
			figure{limit: p.quota, remaining: 0, reset: ceilSeconds(p.until + t.faults.Skew)}.write(a.header)
			return nil, &a
		}
	}
	shown := http.Header{}
	for _, o := range owners {
		u, periods := t.quotaOf(o.name, o.quota, c.now)
		if len(periods) == 0 {
			continue
		}
		u.usedHour++
		u.usedDay++
		for i := range periods {
			periods[i].remaining--
		}
		shown.Set(o.header, quotaHeader(periods, c.now))
	}
	return shown, nil
}
