package auth0test

import (
	"net/http"
	"slices"
)

// strategyDatabase is the strategy of Auth0's own user databases.
const strategyDatabase = "auth0"

func connectionRoutes() []route {
	read := []string{"read:connections"}
	return []route{
		{method: "GET", path: "/api/v2/connections", scopes: read, serve: (*Tenant).listConnections},
		{method: "GET", path: "/api/v2/connections/{id}", scopes: read, serve: (*Tenant).getConnection},
	}
}

// connection finds a connection by its name or, with byID, by its id.
func (t *Tenant) connection(name string, byID bool) *Connection {
	for _, c := range t.connections {
		if byID && c.ID == name || !byID && c.Name == name {
			return c
		}
	}
	return nil
}

// provider is what stands before the | of the ids of a connection's users.
func (c *Connection) provider() string { return c.Strategy }

func (c *Connection) document() map[string]any {
	return map[string]any{
		"id": c.ID, "name": c.Name, "strategy": c.Strategy, "options": map[string]any{},
		"enabled_clients": []string{}, "realms": []string{c.Name}, "is_domain_connection": false,
	}
}

func (t *Tenant) listConnections(c *call) answer {
	name, strategies := c.query.Get("name"), c.query["strategy"]
	var all []map[string]any
	for _, con := range t.connections {
		if name != "" && con.Name != name || len(strategies) > 0 && !slices.Contains(strategies, con.Strategy) {
			continue
		}
		all = append(all, c.pick(con.document()))
	}
	return listing(c, "connections", all)
}

func (t *Tenant) getConnection(c *call) answer {
	con := t.connection(c.params["id"], true)
	if con == nil {
		return failure(http.StatusNotFound, "inexistent_connection", "The connection does not exist")
	}
	return jsonAnswer(http.StatusOK, c.pick(con.document()))
}
