package auth0test

import (
	"slices"
	"strconv"
	"strings"
)

// clientKind is the applications of a tenant. They fetch tokens with the id and
// the secret that they have here.
func clientKind() *kind {
	return &kind{
		noun: "client", path: "/clients", id: "client_id", digits: 32, merged: []string{"client_metadata"},
		begin: func(t *Tenant, _ *call, doc, _ map[string]any) *answer {
			t.completeClient(doc, "")
			return nil
		},
		chosen: chosenClient,
		gone: func(t *Tenant, o *object) {
			delete(t.clients, o.id)
			for _, grant := range slices.Clone(t.kept["client grant"].list[""]) {
				if grant.doc["client_id"] == o.id {
					t.forget(clientGrantKind(), grant)
				}
			}
		},
	}
}

// completeClient fills in a new application, with a secret of its own unless it is given one.
func (t *Tenant) completeClient(doc map[string]any, secret string) {
	name, _, _ := strings.Cut(t.o.Domain, ".")
	for property, v := range map[string]any{
		"tenant": name, "global": false, "is_first_party": true, "oidc_conformant": false, "sso_disabled": false,
		"cross_origin_authentication": false, "callbacks": []any{}, "client_secret": firstOf(secret, t.newID(64)),
		"grant_types": []any{"authorization_code", "implicit", "refresh_token", "client_credentials"}, "custom_login_page_on": true,
	} {
		setDefault(doc, property, v)
	}
	if kind := text(doc["app_type"]); kind == "spa" || kind == "native" {
		setDefault(doc, "token_endpoint_auth_method", "none")
	}
	if doc["client_id"] == nil {
		doc["client_id"] = t.newID(32)
	}
	id, _ := doc["client_id"].(string)
	if _, known := t.clients[id]; !known {
		t.clients[id] = Client{ID: id, Secret: text(doc["client_secret"])}
	}
}

// text returns a string of a document, "" for anything else.
func text(v any) string {
	s, _ := v.(string)
	return s
}

// chosenClient reports whether a list of applications shows one.
func chosenClient(c *call, doc map[string]any) bool {
	for parameter, property := range map[string]string{"is_global": "global", "is_first_party": "is_first_party"} {
		if want := c.query.Get(parameter); want != "" && want != strconv.FormatBool(doc[property] == true) {
			return false
		}
	}
	if types := c.query.Get("app_type"); types != "" && !slices.Contains(strings.Split(types, ","), text(doc["app_type"])) {
		return false
	}
	if !sameOrOpen(c, doc, "external_client_id") {
		return false
	}
	return c.search == nil || c.search.matches(doc)
}

// credentialKind is the keys of an application.
func credentialKind() *kind {
	return &kind{
		noun: "credential", path: "/clients/{client_id}/credentials", id: "id", prefix: "cred_", digits: 16, owner: "client",
		begin: func(t *Tenant, c *call, doc, _ map[string]any) *answer {
			doc["created_at"], doc["updated_at"] = timestamp(c.now), timestamp(c.now)
			setDefault(doc, "kid", t.newID(32))
			return nil
		},
		added: func(t *Tenant, o *object, sent map[string]any) {
			if key := publicPEM(text(sent["pem"])); key != nil {
				t.credentials[o.id] = key
			}
		},
		gone: func(t *Tenant, o *object) { delete(t.credentials, o.id) },
	}
}

func clientHandlers() handlers {
	return handlers{
		"POST /clients/{id}/rotate-secret": (*Tenant).rotateSecret,
		"GET /clients/{id}/connections":    (*Tenant).clientConnections,
	}
}

func (t *Tenant) rotateSecret(c *call) answer {
	o := t.object("client", c.argument(0))
	client := t.clients[o.id]
	client.Secret = t.newID(64)
	t.clients[o.id], o.doc["client_secret"] = client, client.Secret
	return jsonAnswer(c.op.success(), o.doc)
}

func (t *Tenant) clientConnections(c *call) answer {
	id := c.argument(0)
	found := slices.DeleteFunc(slices.Clone(t.connectionClients.in[id]), func(l link) bool {
		return !c.filters(t.object("connection", l.id).doc)
	})
	return paged(c, found, link.sequence, func(l link) map[string]any { return t.object("connection", l.id).doc })
}
