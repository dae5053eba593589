package auth0test

import (
	"net/http"
	"slices"
	"strings"
)

// resourceServerKind is the APIs of a tenant. Unlike other things they are also
// found by another name than their id.
func resourceServerKind() *kind {
	return &kind{
		noun: "resource server", path: "/resource-servers", id: "id", digits: 24, unique: [][]string{{"identifier"}},
		begin: func(_ *Tenant, _ *call, doc, _ map[string]any) *answer {
			for name, v := range map[string]any{
				"name": doc["identifier"], "is_system": false, "scopes": []any{}, "signing_alg": "RS256", "allow_offline_access": false,
				"token_lifetime": 86400, "token_lifetime_for_web": 7200, "skip_consent_for_verifiable_first_party_clients": true, "enforce_policies": false,
			} {
				setDefault(doc, name, v)
			}
			return nil
		},
		chosen: func(c *call, doc map[string]any) bool {
			wanted := c.query["identifiers"]
			identifier, _ := doc["identifier"].(string)
			return len(wanted) == 0 || slices.Contains(wanted, identifier)
		},
		change: func(_ *Tenant, _ *call, o *object, _ map[string]any) *answer {
			if o.doc["is_system"] == true {
				a := failure(http.StatusForbidden, "operation_not_supported", "The system's own API cannot be changed.")
				return &a
			}
			return nil
		},
		gone: func(t *Tenant, o *object) {
			identifier, _ := o.doc["identifier"].(string)
			for key := range t.permissions.in {
				if strings.HasPrefix(key, permissionKey(identifier, "")) {
					t.permissions.drop(key)
				}
			}
		},
	}
}

// resourceServer finds an API by its identifier.
func (t *Tenant) resourceServer(identifier string) *object {
	for _, o := range t.kept["resource server"].list[""] {
		if o.doc["identifier"] == identifier {
			return o
		}
	}
	return nil
}

// scopeOf returns a permission that an API defines, nil for none.
func scopeOf(rs *object, name string) map[string]any {
	scopes, _ := rs.doc["scopes"].([]any)
	for _, e := range scopes {
		if scope, _ := e.(map[string]any); scope["value"] == name {
			return scope
		}
	}
	return nil
}
