package auth0_test

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/headroom-go/auth0"
)

func TestNull(t *testing.T) {
	t.Parallel()
	type doc struct {
		Name auth0.Null[string] `json:"name,omitzero"`
		Age  auth0.Null[int]    `json:"age,omitzero"`
	}
	for _, tt := range []struct {
		doc  doc
		want string
	}{
		{doc{}, `{}`},
		{doc{Name: auth0.NullValue[string]()}, `{"name":null}`},
		{doc{Name: auth0.NullOf(""), Age: auth0.NullOf(0)}, `{"name":"","age":0}`},
		{doc{Name: auth0.NullOf("Ann"), Age: auth0.NullOf(7)}, `{"name":"Ann","age":7}`},
	} {
		b, err := json.Marshal(tt.doc)
		if err != nil || string(b) != tt.want {
			t.Errorf("%s, %v, want %s", b, err, tt.want)
		}
		var back doc
		if err := json.Unmarshal(b, &back); err != nil || back != tt.doc {
			t.Errorf("%+v, %v, want %+v", back, err, tt.doc)
		}
	}
	n := auth0.NullOf("x")
	if v, ok := auth0.ValueOf(n); v != "x" || !ok || auth0.IsNull(n) || n.IsZero() {
		t.Errorf("%+v", n)
	}
	var absent auth0.Null[string]
	if v, ok := auth0.ValueOf(absent); v != "" || ok || auth0.IsNull(absent) || !absent.IsZero() {
		t.Errorf("%+v", absent)
	}
	if null := auth0.NullValue[string](); !auth0.IsNull(null) || null.IsZero() {
		t.Errorf("%+v", null)
	}
	if b, err := json.Marshal(absent); err != nil || string(b) != "null" {
		t.Errorf("%s %v", b, err)
	}
	if err := json.Unmarshal([]byte(`{"age":"old"}`), &doc{}); err == nil {
		t.Error("a string was taken for a number")
	}
	if p := auth0.Ptr(3); *p != 3 {
		t.Error(*p)
	}
}

// Circular embeds itself.
type Circular struct {
	*Circular
	A string `url:"a"`
}

func TestQueryOf(t *testing.T) {
	t.Parallel()
	type order string
	type Shared struct {
		Page int `url:"page,omitempty"`
	}
	type params struct {
		Shared
		Name     string     `url:"name,omitempty"`
		Sent     string     `url:"sent"`
		Order    order      `url:"order,omitempty"`
		Flag     *bool      `url:"flag"`
		Fields   []string   `url:"fields,omitempty"`
		Types    []order    `url:"type,omitempty,repeat"`
		Numbers  []int64    `url:"n"`
		Since    time.Time  `url:"since,omitempty"`
		Until    *time.Time `url:"until,omitzero"`
		Addr     netip.Addr `url:"addr,omitempty"`
		Ratio    float64    `url:"ratio,omitempty"`
		Small    uint8      `url:"small,omitempty"`
		Any      any        `url:"any"`
		Untagged string
		Hidden   string `url:"-"`
		private  string `url:"private"`
	}
	at := time.Date(2026, 8, 20, 10, 0, 0, 0, time.UTC)
	all := &params{
		Shared: Shared{3}, Name: "a b", Order: "asc", Flag: new(false), Fields: []string{"x", "y"}, Types: []order{"p", "q"}, Numbers: []int64{1, 2},
		Since: at, Until: &at, Addr: netip.MustParseAddr("::1"), Ratio: 0.5, Small: 7, Any: true, Untagged: "u", Hidden: "h", private: "p",
	}
	for _, tt := range []struct {
		params any
		want   string
	}{
		{nil, ""}, {(*params)(nil), ""}, {params{}, "sent="}, {&params{Fields: []string{}}, "sent="},
		{all, "addr=%3A%3A1&any=true&fields=x%2Cy&flag=false&n=1%2C2&name=a+b&order=asc&page=3&ratio=0.5&sent=&since=2026-08-20T10%3A00%3A00Z&small=7&type=p&type=q&until=2026-08-20T10%3A00%3A00Z"},
		{url.Values{"a": {"1", "2"}}, "a=1&a=2"},
	} {
		for range 2 { // the second time from the cache
			q, err := auth0.QueryOf(tt.params)
			if err != nil || q == nil || q.Encode() != tt.want {
				t.Errorf("%q, %v, want %q", q.Encode(), err, tt.want)
			}
		}
	}
	type node struct {
		*Shared
		*params
		Q string `url:"q"`
	}
	for want, n := range map[string]node{"q=": {}, "page=3&q=": {Shared: &Shared{3}}, "page=3&q=&sent=": {Shared: &Shared{3}, params: &params{}}} {
		if q, err := auth0.QueryOf(n); err != nil || q.Encode() != want {
			t.Errorf("embedded pointers: %q, %v, want %q", q.Encode(), err, want)
		}
	}
	type circle struct {
		*Circular
		Q string `url:"q"`
	}
	if q, err := auth0.QueryOf(circle{Circular: &Circular{A: "1"}}); err != nil || q.Encode() != "a=1&q=" {
		t.Errorf("a struct that embeds itself: %q, %v", q.Encode(), err)
	}
	given := url.Values{"a": {"1"}}
	q, err := auth0.QueryOf(given)
	if err != nil {
		t.Fatal(err)
	}
	q.Set("a", "2")
	q.Set("b", "3")
	if given.Encode() != "a=1" {
		t.Errorf("the parameters were changed: %v", given)
	}
	for name, bad := range map[string]any{
		"number": 3, "map": map[string]string{},
		"unknown option": struct {
			A string `url:"a,maybe"`
		}{},
		"no name": struct {
			A string `url:",omitempty"`
		}{},
		"struct": struct {
			A struct{ B int } `url:"a"`
		}{},
		"list of lists": struct {
			A [][]int `url:"a"`
		}{[][]int{{1}}},
	} {
		if q, err := auth0.QueryOf(bad); err == nil {
			t.Errorf("%s: %v", name, q)
		}
	}
}
