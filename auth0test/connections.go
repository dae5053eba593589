package auth0test

import (
	"maps"
	"net/http"
	"slices"
)

// strategyDatabase is the strategy of Auth0's own user databases.
const strategyDatabase = "auth0"

func connectionKind() *kind {
	return &kind{
		noun: "connection", path: "/connections", id: "id", prefix: "con_", digits: 16, unique: [][]string{{"name"}},
		begin: func(t *Tenant, _ *call, doc, sent map[string]any) *answer {
			for name, v := range map[string]any{"options": map[string]any{}, "is_domain_connection": false, "realms": []any{doc["name"]}} {
				setDefault(doc, name, v)
			}
			delete(doc, "enabled_clients") // shown from the relation
			return t.knownClients(sent)
		},
		added: func(t *Tenant, o *object, sent map[string]any) {
			for _, id := range texts(sent["enabled_clients"]) {
				t.connectionClients.add(t, o.id, id, nil)
			}
		},
		change: func(t *Tenant, _ *call, o *object, sent map[string]any) *answer {
			if bad := t.knownClients(sent); bad != nil {
				return bad
			}
			if _, given := sent["enabled_clients"]; given {
				enabled := texts(sent["enabled_clients"])
				for _, l := range slices.Clone(t.connectionClients.of[o.id]) {
					if !slices.Contains(enabled, l.id) {
						t.connectionClients.remove(o.id, l.id)
					}
				}
				for _, id := range enabled {
					t.connectionClients.add(t, o.id, id, nil)
				}
				delete(sent, "enabled_clients")
			}
			return nil
		},
		show: (*Tenant).connectionDocument,
		gone: func(t *Tenant, o *object) {
			for _, u := range slices.Clone(t.users.list) {
				if u.connection == o.doc["name"] {
					t.removeUser(u)
				}
			}
		},
	}
}

// knownClients refuses a payload that enables an application that is not there.
func (t *Tenant) knownClients(sent map[string]any) *answer {
	for _, id := range texts(sent["enabled_clients"]) {
		if bad := t.absent("client", id, http.StatusBadRequest); bad != nil {
			return bad
		}
	}
	return nil
}

func (t *Tenant) connectionDocument(o *object) map[string]any {
	doc := maps.Clone(o.doc)
	enabled := []string{}
	for _, l := range t.connectionClients.of[o.id] {
		enabled = append(enabled, l.id)
	}
	doc["enabled_clients"] = enabled
	return doc
}

// connection finds a connection by its name or, with byID, by its id.
func (t *Tenant) connection(name string, byID bool) *Connection {
	for _, o := range t.kept["connection"].list[""] {
		if byID && o.id == name || !byID && o.doc["name"] == name {
			return &Connection{ID: o.id, Name: text(o.doc["name"]), Strategy: text(o.doc["strategy"])}
		}
	}
	return nil
}

// provider is what stands before the | of the ids of a connection's users.
func (c *Connection) provider() string { return c.Strategy }

func connectionHandlers() handlers {
	return handlers{
		"GET /connections/{id}/clients":   (*Tenant).enabledClients,
		"PATCH /connections/{id}/clients": (*Tenant).changeEnabledClients,
		"GET /connections/{id}/status":    (*Tenant).connectionStatus,
		"DELETE /connections/{id}/users":  (*Tenant).deleteConnectionUser,
	}
}

func (t *Tenant) enabledClients(c *call) answer {
	return links(c, t.connectionClients.of[c.argument(0)], func(l link) map[string]any { return map[string]any{"client_id": l.id} })
}

func (t *Tenant) changeEnabledClients(c *call) answer {
	sent, bad := c.payload()
	if bad != nil {
		return *bad
	}
	id := c.argument(0)
	list, _ := sent[""].([]any)
	changes := make(map[string]bool)
	var order []string
	for _, e := range list {
		change, _ := e.(map[string]any)
		client := text(change["client_id"])
		if bad := t.absent("client", client, http.StatusBadRequest); bad != nil {
			return *bad
		}
		changes[client] = change["status"] == true
		order = append(order, client)
	}
	for _, client := range order {
		if changes[client] {
			t.connectionClients.add(t, id, client, nil)
		} else {
			t.connectionClients.remove(id, client)
		}
	}
	return noContent()
}

func (t *Tenant) connectionStatus(c *call) answer {
	return answer{status: c.op.success(), header: http.Header{}}
}

// deleteConnectionUser deletes the user of a database who has an address.
func (t *Tenant) deleteConnectionUser(c *call) answer {
	con := t.object("connection", c.argument(0)).doc
	if u := t.users.taken[nameKey(text(con["name"]), "email", c.query.Get("email"))]; u != nil {
		t.removeUser(u)
	}
	return noContent()
}
