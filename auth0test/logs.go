package auth0test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// logEntry is what the log keeps of one call: every call of the Management API
// that would change something, and every token asked for.
type logEntry struct {
	seq       uint64
	at        time.Duration
	what      string // the operation, or token for a token
	path      string
	status    int
	grant     string // the grant type of a token
	user      string
	client    string
	ip, agent string
}

// tokenAsked stands for the operation where a token is asked for.
const tokenAsked = "token"

// log keeps a call that has been carried out. Calls that only read are not kept,
// nor are those of callers whom nobody knows.
func (t *Tenant) log(c *call, a answer) {
	e := logEntry{
		at: c.now, what: tokenAsked, path: c.path, status: a.status, user: c.user,
		grant: c.field("grant_type"), client: c.clientID(), ip: t.ip(c), agent: c.header.Get("User-Agent"),
	}
	if c.op != nil {
		if c.method == http.MethodGet || a.status == http.StatusUnauthorized {
			return
		}
		e.what, e.client = c.op.id(), ""
		if c.op.owner == "user" || c.op.path == "/users/{id}" {
			e.user = c.argument(0)
		}
		if c.token != nil {
			e.client = c.token.client
		}
	}
	e.seq = t.sequence()
	t.entries = append(t.entries, e)
}

// id is longer than any number: the time, and where the entry stands in the log.
func (e *logEntry) id() string {
	return "900" + wall(e.at).Format("20060102150405") + fmt.Sprintf("%03d%020d", e.at/time.Millisecond%1000, e.seq)
}

// logSequence returns where an entry stands in the log.
func logSequence(id string) (uint64, error) {
	if len(id) != 40 {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(id[20:], 10, 64)
}

// entryAt returns where an entry is, or would be.
func (t *Tenant) entryAt(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(t.entries, seq, func(e logEntry, n uint64) int { return cmp.Compare(e.seq, n) })
}

// kind is the event's type: an operation or a token, done or refused.
func (e *logEntry) kind() string {
	result := "f"
	if e.status < http.StatusBadRequest {
		result = "s"
	}
	if e.what != tokenAsked {
		return result + "api"
	}
	switch e.grant {
	case grantCode:
		return result + "eacft"
	case grantRefresh:
		return result + "ertft"
	case grantPassword, grantRealm:
		return result + "epft"
	case grantPasswordless:
		return result + "epotpft"
	case grantDevice:
		return result + "ede"
	case grantOTP:
		return result + "eotpft"
	case grantOOB:
		return result + "eoobft"
	case grantRecovery:
		return result + "ercft"
	case grantCIBA:
		if result == "s" {
			return "ciba_exchange_succeeded"
		}
		return "ciba_exchange_failed"
	}
	return result + "eccft"
}

// document is the entry as the API shows it.
func (t *Tenant) logDocument(e *logEntry) map[string]any {
	doc := map[string]any{
		"date": timestamp(e.at), "type": e.kind(), "description": e.what, "log_id": e.id(), "isMobile": false,
		"ip": e.ip, "user_agent": e.agent, "hostname": t.o.Domain, "audience": "https://" + t.o.Domain + "/api/v2/",
		"details": map[string]any{"request": map[string]any{"path": e.path}, "response": map[string]any{"statusCode": e.status}},
	}
	if e.user != "" {
		doc["user_id"] = e.user
	}
	if o := t.object("client", e.client); o != nil {
		doc["client_id"], doc["client_name"] = e.client, o.doc["name"]
	}
	return doc
}

func logHandlers() handlers {
	return handlers{"GET /logs": (*Tenant).listLogs, "GET /logs/{id}": (*Tenant).getLog, "GET /users/{id}/logs": (*Tenant).userLogs}
}

func (t *Tenant) listLogs(c *call) answer {
	if c.query.Has("from") || c.query.Has("take") {
		return t.continueLogs(c)
	}
	if c.search == nil && c.query.Has("search") {
		search, err := parseSearch(c.query.Get("search"))
		if err != nil {
			return failure(http.StatusBadRequest, "invalid_query_string", err.Error())
		}
		c.search = search
	}
	return t.newestLogs(c, func(e *logEntry) bool { return c.search == nil || c.search.matches(t.logDocument(e)) })
}

func (t *Tenant) userLogs(c *call) answer {
	return t.newestLogs(c, func(e *logEntry) bool { return e.user == c.argument(0) })
}

// newestLogs pages through the entries chosen, the newest first.
func (t *Tenant) newestLogs(c *call, chosen func(*logEntry) bool) answer {
	var found []*logEntry
	for i := range slices.Backward(t.entries) {
		if e := &t.entries[i]; chosen(e) {
			found = append(found, e)
		}
	}
	return paged(c, found, nil, t.logDocument)
}

// continueLogs answers with the entries after one, the oldest first. All other
// parameters are ignored. The link to the next entries is always there: at the
// end it is the link that the caller came by.
func (t *Tenant) continueLogs(c *call) answer {
	take, bad := c.number("take", pageSize)
	if bad != nil {
		return *bad
	}
	take = max(1, min(take, pageMax))
	from := c.query.Get("from")
	var after uint64
	if from != "" {
		var err error
		if after, err = logSequence(from); err != nil {
			return queryError("The log entry to continue from is unknown", "from")
		}
	}
	first, _ := t.entryAt(after + 1)
	docs := []map[string]any{}
	for i := first; i < min(first+take, len(t.entries)); i++ {
		docs = append(docs, t.logDocument(&t.entries[i]))
		from = t.entries[i].id()
	}
	a := jsonAnswer(http.StatusOK, docs)
	next := url.URL{Scheme: c.scheme, Host: c.host, Path: "/api/v2/logs", RawQuery: url.Values{"from": {from}, "take": {strconv.Itoa(take)}}.Encode()}
	a.header.Set("Link", "<"+next.String()+`>; rel="next"`)
	return a
}

func (t *Tenant) getLog(c *call) answer {
	seq, err := logSequence(c.argument(0))
	i, found := t.entryAt(seq)
	if err != nil || !found {
		return *missing(http.StatusNotFound, "log")
	}
	return jsonAnswer(http.StatusOK, c.pick(t.logDocument(&t.entries[i])))
}
