package codec

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "github.com/auth0/go-auth0/management"
	v3 "github.com/auth0/go-auth0/v3/management"
	"go.uber.org/goleak"

	"github.com/headroom-go/auth0/bench/speed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func Benchmark(b *testing.B) {
	for _, c := range Cases() {
		b.Run(strings.NewReplacer(" ", "_", ",", "").Replace(c.What+"/"+c.Who), c.Bench)
	}
}

// Every SDK finds the same entries in the pages, down to the last one's name.
func TestPagesAreUnderstood(t *testing.T) {
	var (
		u  userPage
		u1 v1.UserList
		u3 v3.ListUsersOffsetPaginatedResponseContent
		c  clientPage
		c1 v1.ClientList
		c3 v3.ListClientsOffsetPaginatedResponseContent
		n  connectionPage
		n1 v1.ConnectionList
		n3 v3.ListConnectionsCheckpointPaginatedResponseContent
	)
	for _, into := range []struct {
		text []byte
		v    any
	}{
		{users(), &u}, {users(), &u1}, {users(), &u3}, {clients(), &c}, {clients(), &c1}, {clients(), &c3},
		{connections(), &n}, {connections(), &n1}, {connections(), &n3},
	} {
		if err := json.Unmarshal(into.text, into.v); err != nil {
			t.Fatalf("%T: %v", into.v, err)
		}
	}
	const last = entries - 1
	if len(u.Users) != entries || len(u1.Users) != entries || len(u3.Users) != entries ||
		len(c.Clients) != entries || len(c1.Clients) != entries || len(c3.Clients) != entries ||
		len(n.Connections) != entries || len(n1.Connections) != entries || len(n3.Connections) != entries {
		t.Fatal("a page lacks entries")
	}
	for got, want := range map[string]string{
		u.Users[last].Name + ", " + u1.Users[last].GetName() + ", " + u3.Users[last].GetName():                                                "User 49, User 49, User 49",
		c.Clients[last].Name + "; " + c1.Clients[last].GetName() + "; " + c3.Clients[last].GetName():                                          "Application 49; Application 49; Application 49",
		n.Connections[last].Name + " " + n1.Connections[last].GetName() + " " + n3.Connections[last].GetName():                                "connection-49 connection-49 connection-49",
		*n.Connections[last].Options.GoogleOAuth2.ClientID + " " + *n1.Connections[last].Options.(*v1.ConnectionOptionsGoogleOAuth2).ClientID: "1234.apps.googleusercontent.com 1234.apps.googleusercontent.com",
	} {
		if got != want {
			t.Errorf("the last entries are %q, want %q", got, want)
		}
	}
	if u.Users[last].Extra != nil {
		t.Errorf("a field of a user is not known: %v", u.Users[last].Extra)
	}
}

// Allocations do not depend on the machine. A budget is a share of what v1 and
// v3 allocate for the same page.
func TestAllocations(t *testing.T) {
	results, err := speed.Measure(Cases(), 20*time.Millisecond, 1)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]float64{}
	for _, r := range results {
		if got[r.What] == nil {
			got[r.What] = map[string]float64{}
		}
		got[r.What][r.Who] = float64(r.Allocs)
	}
	for _, c := range []struct {
		what   string
		v1, v3 float64
	}{
		{decoding("users"), 0.62, 0.11},
		{decoding("clients"), 0.62, 0.07},
		{decoding("connections"), 0.85, 0.16},
		{encoding("users"), 0.70, 0.65},
		{encoding("clients"), 0.55, 0.30},
		{encoding("connections"), 0.72, 0.30},
		{"list 50 users, answered from memory", 0.65, 0.11},
	} {
		g := got[c.what]
		t.Logf("%s: %.0f, %.3f of v1, %.3f of v3", c.what, g[Ours], g[Ours]/g[V1], g[Ours]/g[V3])
		if g[Ours] == 0 || g[Ours] > c.v1*g[V1] || g[Ours] > c.v3*g[V3] {
			t.Errorf("%s: %.0f allocations, want at most %.2f of the %.0f of v1 and %.2f of the %.0f of v3", c.what, g[Ours], c.v1, g[V1], c.v3, g[V3])
		}
	}
	var table strings.Builder
	if err := speed.Print(&table, results); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table.String(), "| 0.7 of "+V1+", ") {
		t.Errorf("the table lacks the budget of decoding:\n%s", table.String())
	}
}

// A list that fails is a failed benchmark and not a fast one.
func TestFailedList(t *testing.T) {
	for _, l := range listers() {
		list, err := l.open(&http.Client{Transport: memory(bytes.Repeat([]byte("["), 3))})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := list(t.Context()); err == nil {
			t.Errorf("%s lists %d users of an answer that is not JSON", l.who, n)
		}
	}
}
