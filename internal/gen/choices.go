package main

import (
	"regexp"
	"strings"
)

// What the importer cannot work out of the document, and we chose.

// methodInstead are Go names of methods where the document's own does not do.
var methodInstead = map[string]string{
	"agents.read":               "Get",
	"supplementalSignals.patch": "Update",
	"attackProtection.phoneProviderProtection.patch":                      "Update",
	"users.listUsersByEmail":                                              "ListByEmail",
	"clients.registerCimdClient":                                          "RegisterCIMD",
	"clients.previewCimdMetadata":                                         "PreviewCIMD",
	"jobs.errors.get":                                                     "Get",
	"stats.getDaily":                                                      "ListDaily",
	"connections.directoryProvisioning.set":                               "SetSynchronizedGroups",
	"connections.directoryProvisioning.addSynchronizedGroupSelections":    "AddSynchronizedGroups",
	"connections.directoryProvisioning.deleteSynchronizedGroupSelections": "DeleteSynchronizedGroups",
}

// returnsInstead are answers whose Go type is written by hand.
var returnsInstead = map[string]string{
	"GET /jobs/{id}/errors": "JobErrors",
}

// cursors name the field of an entry that the next page starts from, where the answer itself does not say.
var cursors = map[string]string{
	"GET /logs": "log_id",
}

// mayBeEmpty are required fields that tenants send empty to mean none, although the document does not say so.
var mayBeEmpty = map[string]bool{"font_url": true, "logo_url": true, "background_image_url": true, "image_url": true}

// extensible reports whether a type keeps the fields it does not know: those that tenants and identity providers add to.
func extensible(name string) bool {
	return name == "User" || name == "Log" || name == "UserProfileData" || name == "EmailProviderCredentialsSet" || name == "EventStreamWebhookAuthorization" || strings.HasPrefix(name, "ConnectionOptions") || strings.HasPrefix(name, "ClientAddon")
}

// mergeAlways are places where one struct reads better than a union, although the variants have little in common.
var mergeAlways = map[string]bool{
	"CreateFlowsVaultConnectionRequestContent.setup": true,
	"ConnectionUpstreamAdditionalProperties":         true,
}

var eventConnection = regexp.MustCompile(`^EventStreamCloudEventConnection\w+Object\d+\.options$`)

// connectionOptions types the options of connections. The document types them loosely in the operations, and for each strategy in
// schemas that no operation uses; ours are typed everywhere, and the strategy beside them tells which they are.
func (im *importer) connectionOptions() {
	const prefix = "CreateConnectionRequestContent"
	const strategies = "ConnectionStrategyEnum"
	options := &node{kind: kUnion, from: []string{"ConnectionOptions"}, keys: []string{"strategy"}, sibling: true, resolved: true}
	at := map[string]bool{
		"ConnectionForList.options": true, "CreateConnectionRequestContent.options": true, "CreateConnectionResponseContent.options": true,
		"GetConnectionResponseContent.options": true, "UpdateConnectionRequestContent.options": true, "UpdateConnectionResponseContent.options": true,
	}
	im.instead = func(where string) *node {
		switch {
		case at[where] || eventConnection.MatchString(where):
			return options
		case where == "CreateConnectionRequestContent.strategy" && im.doc.Components.Schemas.m[strategies] != nil:
			// The document has the same strategies a second time, as the providers of identities.
			n, _ := im.build(&schema{Ref: "/" + strategies}, strategies)
			return n
		}
		return nil
	}
	for _, name := range im.doc.Components.Schemas.keys {
		if !strings.HasPrefix(name, prefix) || name == prefix {
			continue
		}
		s := im.doc.Components.Schemas.m[name]
		var strategy string
		var of *schema
		for _, part := range s.AllOf {
			if p := part.Properties.m["strategy"]; p != nil {
				strategy, _ = p.Const.(string)
				if len(p.Enum) == 1 {
					strategy = p.Enum[0].(string)
				}
				of = part.Properties.m["options"]
			}
		}
		if strategy == "" || of == nil {
			im.warnings = append(im.warnings, name+": no strategy or no options")
			continue
		}
		n, _ := im.build(of, name+".options")
		options.variants = append(options.variants, variant{when: []string{strategy}, label: strings.TrimPrefix(name, prefix), node: n})
	}
}

// connectionFields adds to the answers on connections the fields that only the schemas of single strategies have.
func (im *importer) connectionFields() {
	const prefix = "ConnectionResponseContent"
	for _, to := range []string{"ConnectionForList", "CreateConnectionResponseContent", "GetConnectionResponseContent", "UpdateConnectionResponseContent"} {
		b := im.memo[to]
		if b == nil {
			continue
		}
		for _, name := range im.doc.Components.Schemas.keys {
			if !strings.HasPrefix(name, prefix) {
				continue
			}
			n, _ := im.build(&schema{Ref: "/" + name}, name)
			for _, f := range n.fields {
				if b.node.field(f.json) == nil && f.json != "options" {
					c := *f
					c.req = false
					b.node.fields = append(b.node.fields, &c)
				}
			}
		}
	}
}

// missing are fields that the API takes and the document does not have: it describes how a webhook is authorized only as an answer,
// without the secrets.
var missing = map[string][]*field{
	"EventStreamWebhookAuthorizationResponse": {
		{json: "password", node: &node{kind: kString}},
		{json: "token", node: &node{kind: kString}},
	},
}

// addMissing adds those fields.
func (im *importer) addMissing() {
	for _, n := range im.all() {
		for _, f := range missing[n.from[0]] {
			if n.field(f.json) == nil {
				n.fields = append(n.fields, f)
				n.open = true
			}
		}
	}
}
