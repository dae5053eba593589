package auth0test

import (
	"fmt"
	"strings"
	"testing"
)

func TestSearch(t *testing.T) {
	t.Parallel()
	doc := map[string]any{
		"name": "Ann O'Neill", "email": "ann@example.com", "logins_count": 12, "blocked": false, "created_at": "2026-03-01T00:00:00.000Z",
		"identities": []any{map[string]any{"connection": "a"}, map[string]any{"connection": "b c"}}, "app_metadata": map[string]any{"plan": "gold (old)"},
	}
	for q, want := range map[string]bool{
		"": true, "*": true,
		`name:"ann o'neill"`: true, `name:ann`: false, `name:ann*`: true, `name:"ann*"`: false, `name:Ann\ O'Neill`: true,
		`email:ann@example.com`: true, `email:ann\@*`: true, `blocked:false`: true, `blocked:true`: false,
		`identities.connection:"b c"`: true, `identities.connection:c`: false, `app_metadata.plan:"gold (old)"`: true, `app_metadata.plan:gold\ \(old\)`: true,
		`logins_count:12`: true, `logins_count:[2 TO 20]`: true, `logins_count:[12 TO *]`: true, `logins_count:{12 TO *}`: false, `logins_count:[* TO 12}`: false,
		`logins_count:{11 TO 12]`: true, `logins_count:["100" TO "200"]`: false,
		`created_at:["2026-01-01" TO "2026-12-31"]`: true, `created_at:[2027-01-01 TO *]`: false,
		`_exists_:email`: true, `_exists_:phone_number`: false, `NOT _exists_:phone_number`: true, `-_exists_:email`: false,
		`blocked:true OR name:ann*`: true, `blocked:true AND name:ann*`: false, `blocked:true name:ann*`: true,
		// AND binds before OR.
		`blocked:false OR blocked:true AND name:none`: true, `(blocked:false OR blocked:true) AND name:none`: false, `name:none AND blocked:true OR blocked:false`: true,
		`NOT blocked:true AND NOT (name:none OR email:none)`: true, `name:(none OR ann*)`: true, `name:("none" "other")`: false, `((blocked:false))`: true,
	} {
		c, err := parseSearch(q)
		if err != nil {
			t.Errorf("%s: %v", q, err)
			continue
		}
		if got := c == nil || c.matches(doc); got != want {
			t.Errorf("%s: %v, want %v", q, got, want)
		}
	}
	for q, word := range map[string]string{
		`ann`: "field:value", `name:`: "value", `name:"ann`: "quotation", `(name:ann`: "parenthesis", `name:ann)`: "parenthesis", `name:[1 2]`: "TO",
		`name:[1 TO 2`: "range", `name:[1 TO`: "value", `name:(ann`: "value", `name:ann AND`: "field:value", `:ann`: "field:value",
		strings.Repeat("(", 60) + "a:b": "too many",
	} {
		if c, err := parseSearch(q); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v, error %v; want one about %q", q, fmt.Sprint(c), err, word)
		}
	}
}
