package auth0test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/headroom-go/auth0/internal/gen/api"
)

// The tenant knows the Management API from the project's own description of it,
// which package internal/gen keeps and explains. It is read when the first call
// of that API comes, once for all tenants.

// operation is one operation of the Management API.
type operation struct {
	method string
	path   string // without /api/v2
	split  pattern
	scopes []string // any one of them is enough
	query  []attribute
	body   string // type of the JSON body, "" for none
	// answers is the type of the answer, "" for none; of one entry where the
	// operation pages.
	answers string
	stream  bool
	page    *paging
	// owner is the noun of what the path is about below the first brace, which
	// has to be there; "" where the tenant does not know.
	owner string
	// serve answers where the tenant keeps what the operation is about.
	serve func(*Tenant, *call) answer
}

// paging is how a list pages.
type paging struct {
	key                        string // of the entries in the answer
	offset, checkpoint, totals bool
}

// attribute is a property of an object or a parameter of a query.
type attribute struct {
	name, kind     string
	required, null bool
	always         string
	min, max       float64 // of a number, or of characters or items
	bounded        bool    // whether max holds
}

// shape is a type: an object, an enumeration or a choice among objects.
type shape struct {
	form       string // type, enum or union
	extra      bool   // takes properties of any name
	attributes []attribute
	values     []string
	by         []string // properties beside a choice that tell which it is
	variants   []variant
}

type variant struct {
	when []string // values of the properties, joined by spaces
	kind string
}

// description is what all files say.
type description struct {
	operations map[string][]*operation // by method and first segment
	shapes     map[string]*shape
}

var described struct {
	once sync.Once
	*description
}

// describe returns the description, which must not be changed.
func describe() *description {
	described.once.Do(func() {
		d := readDescription()
		for _, ops := range d.operations {
			// Of two paths that match, the one that says more goes first.
			slices.SortStableFunc(ops, func(a, b *operation) int { return b.split.literals() - a.split.literals() })
		}
		d.attach(handled())
		for _, k := range kinds() {
			k.attach(d)
		}
		described.description = d
	})
	return described.description
}

// readDescription reads all files.
func readDescription() *description {
	d := &description{operations: make(map[string][]*operation), shapes: make(map[string]*shape)}
	files, err := api.Files.ReadDir(".")
	if err != nil {
		panic(err) // the files are in the program
	}
	for _, f := range files {
		text, err := api.Files.ReadFile(f.Name())
		if err != nil {
			panic(err)
		}
		d.read(string(text))
	}
	return d
}

// literals counts the segments that are no braces.
func (p pattern) literals() (n int) {
	for _, s := range p {
		if !isBrace(s) {
			n++
		}
	}
	return n
}

// key is where an operation is looked up.
func (d *description) key(method, first string) string { return method + " " + first }

// all calls f for each operation.
func (d *description) all(f func(*operation)) {
	for _, ops := range d.operations {
		for _, o := range ops {
			f(o)
		}
	}
}

// attach gives operations their handlers. A handler of no operation is a slip
// of the pen.
func (d *description) attach(h handlers) {
	d.all(func(o *operation) {
		if serve := h[o.id()]; serve != nil {
			o.serve = serve
			delete(h, o.id())
		}
		if len(o.split) > 2 && isBrace(o.split[1]) {
			o.owner = owners()[o.split[0]]
		}
	})
	for id := range h {
		panic("auth0test: the description has no " + id)
	}
}

// owners are the nouns of what stands first in paths.
func owners() map[string]string {
	nouns := map[string]string{"users": "user"}
	for _, k := range kinds() {
		if k.owner == "" {
			nouns[k.path[1:]] = k.noun
		}
	}
	return nouns
}

// find returns the operation of a request and what the braces stand for, nil
// for a path that is none.
func (d *description) find(c *call) (*operation, map[string]string) {
	if len(c.segs) < 3 || c.segs[0] != "api" || c.segs[1] != "v2" {
		return nil, nil
	}
	for _, o := range d.operations[d.key(c.method, c.segs[2])] {
		if params, ok := o.split.match(c.segs[2:]); ok {
			return o, params
		}
	}
	return nil, nil
}

// id is the operation as the description heads it.
func (o *operation) id() string { return o.method + " " + o.path }

// parameter returns a parameter of the query.
func (o *operation) parameter(name string) *attribute {
	for i := range o.query {
		if o.query[i].name == name {
			return &o.query[i]
		}
	}
	return nil
}

// success is the status of the answer when all went well: that of the method,
// or one of the API's own.
func (o *operation) success() int {
	switch o.id() {
	case "DELETE /refresh-tokens/{id}",
		"DELETE /sessions/{id}",
		"DELETE /users/{user_id}/refresh-tokens",
		"DELETE /users/{user_id}/sessions",
		"POST /actions/actions/{actionId}/versions/{id}/deploy",
		"POST /actions/actions/{id}/deploy",
		"POST /branding/phone/providers/{id}/try",
		"POST /branding/phone/templates/{id}/try",
		"POST /event-streams/{id}/redeliver",
		"POST /event-streams/{id}/redeliver/{event_id}",
		"POST /event-streams/{id}/test",
		"POST /jobs/users-imports",
		"POST /refresh-tokens/revoke",
		"POST /self-service-profiles/{profileId}/sso-ticket/{id}/revoke",
		"POST /sessions/{id}/revoke",
		"POST /users/{id}/revoke-access":
		return http.StatusAccepted
	case "DELETE /roles/{id}",
		"DELETE /roles/{id}/permissions",
		"PATCH /token-exchange-profiles/{id}",
		"POST /actions/actions/{id}/test",
		"POST /actions/modules/{id}/rollback",
		"POST /actions/modules/{id}/versions",
		"POST /branding/themes",
		"POST /clients/cimd/preview",
		"POST /clients/{id}/rotate-secret",
		"POST /custom-domains/{id}/test",
		"POST /custom-domains/{id}/verify",
		"POST /email-templates",
		"POST /experimentation/experiments/{id}/status",
		"POST /experimentation/experiments/{id}/validate",
		"POST /experimentation/feature-flags/{id}/status",
		"POST /guardian/enrollments/ticket",
		"POST /jobs/users-exports",
		"POST /log-streams",
		"POST /organizations/{id}/invitations",
		"POST /roles",
		"POST /roles/{id}/users",
		"POST /users/{id}/recovery-code-regeneration",
		"PUT /prompts/{prompt}/custom-text/{language}",
		"PUT /prompts/{prompt}/partials":
		return http.StatusOK
	case "PATCH /clients/{client_id}/credentials/{credential_id}",
		"PATCH /hooks/{id}",
		"PATCH /hooks/{id}/secrets",
		"PATCH /resource-servers/{id}",
		"POST /hooks/{id}/secrets",
		"POST /network-acls",
		"POST /roles/{id}/permissions",
		"POST /users/{id}/permissions":
		return http.StatusCreated
	}
	switch {
	case o.method == http.MethodGet:
		return http.StatusOK
	case o.answers == "":
		return http.StatusNoContent
	case o.method == http.MethodPost:
		return http.StatusCreated
	}
	return http.StatusOK
}

// wrapped is the key under which an answer holds its list, "" where the answer
// is the list itself.
func (o *operation) wrapped() string {
	switch o.id() {
	case "GET /actions/triggers":
		return "triggers"
	case "PATCH /actions/triggers/{triggerId}/bindings":
		return "bindings"
	case "PATCH /prompts/rendering":
		return "configs"
	case "GET /branding/phone/providers":
		return "providers"
	case "GET /branding/phone/templates":
		return "templates"
	case "GET /connection-profiles/templates":
		return "connection_profile_templates"
	case "GET /connections/{id}/directory-provisioning/default-mapping", "GET /connections/{id}/scim-configuration/default-mapping":
		return "mapping"
	case "GET /experimentation/feature-flags/{id}/variations":
		return "variations"
	case "GET /guardian/factors/phone/message-types", "PUT /guardian/factors/phone/message-types":
		return "message_types"
	case "GET /keys/custom-signing", "PUT /keys/custom-signing", "GET /keys/network-acls":
		return "keys"
	case "GET /user-attribute-profiles/templates":
		return "user_attribute_profile_templates"
	case "GET /user-blocks", "GET /user-blocks/{id}":
		return "blocked_for"
	}
	return ""
}

// read adds what one file says. It takes the lines to be well formed, as the
// generator has written them.
func (d *description) read(text string) {
	var op *operation
	var sh *shape
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		words := strings.Fields(line)
		if len(words) == 0 || line[0] == '#' {
			continue
		}
		if line[0] != ' ' {
			op, sh = nil, nil
			switch words[0] {
			case "type", "enum", "union":
				sh = &shape{form: words[0], extra: slices.Contains(words, "extra")}
				for i, w := range words {
					if w == "by" || w == "beside" {
						sh.by = words[i+1:]
						break
					}
				}
				d.shapes[words[1]] = sh
			case "GET", "POST", "PUT", "PATCH", "DELETE":
				op = &operation{method: words[0], path: words[1], split: splitPattern(words[1])}
				at := d.key(op.method, op.split[0])
				d.operations[at] = append(d.operations[at], op)
			}
			continue
		}
		switch {
		case words[0][0] == '"' && words[0] != `""` || words[0] == "=":
		case op != nil:
			op.read(words, line)
		case sh != nil:
			sh.read(words, line)
		}
	}
}

func (o *operation) read(words []string, line string) {
	switch words[0] {
	case "scopes":
		o.scopes = words[1:]
	case "query":
		o.query = append(o.query, readAttribute(words[1:], line))
	case "body":
		o.body = words[1]
	case "returns", "stream":
		o.answers, o.stream = words[1], words[0] == "stream"
	case "page":
		o.answers = words[1]
		has := func(w string) bool { return slices.Contains(words[3:], w) }
		o.page = &paging{key: words[2], offset: has("offset"), checkpoint: has("checkpoint"), totals: has("totals")}
	}
}

func (s *shape) read(words []string, line string) {
	switch s.form {
	case "enum":
		s.values = append(s.values, strings.Trim(words[0], `"`))
	case "union":
		v := variant{}
		when, kind, _ := strings.Cut(line, "->")
		for w := range strings.SplitSeq(when, "|") {
			v.when = append(v.when, strings.TrimSpace(w))
		}
		v.kind, _, _ = strings.Cut(strings.TrimSpace(kind), " ")
		s.variants = append(s.variants, v)
	default:
		s.attributes = append(s.attributes, readAttribute(words, line))
	}
}

// readAttribute reads a line such as: name!~ string =word (1-50 chars) "Words."
func readAttribute(words []string, line string) attribute {
	var a attribute
	a.name, a.null = strings.CutSuffix(words[0], "~")
	a.name, a.required = strings.CutSuffix(a.name, "!")
	a.kind = words[1]
	for _, w := range words[2:] {
		if always, ok := strings.CutPrefix(w, "="); ok {
			a.always = always
		}
	}
	line, _, _ = strings.Cut(line, ` "`)
	_, limits, ok := strings.Cut(line, " (")
	if !ok {
		return a
	}
	limits, _, _ = strings.Cut(strings.TrimSuffix(limits, ")"), " ")
	number := func(s string) float64 {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			panic(fmt.Sprintf("auth0test: the description says %q", line))
		}
		return n
	}
	if least, ok := strings.CutPrefix(limits, ">="); ok {
		a.min = number(least)
		return a
	}
	a.bounded = true
	if most, ok := strings.CutPrefix(limits, "<="); ok {
		a.max = number(most)
		return a
	}
	least, most, ok := strings.Cut(limits[1:], "-") // not a sign at the beginning
	a.min = number(limits[:1] + least)
	if a.max = a.min; ok {
		a.max = number(most)
	}
	return a
}
