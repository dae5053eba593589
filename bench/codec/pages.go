package codec

import (
	"fmt"
	"strings"
)

// entries is the size of the pages, Auth0's own default for most lists.
const entries = 50

// users is a page of users as GET /users sends it, with two identities each.
func users() []byte {
	return page(`{"start":0,"limit":50,"length":50,"total":5000,"users":[`, func(n int) string {
		return fmt.Sprintf(`{"created_at":"2025-03-01T10:20:30.405Z","email":"user%[1]d@example.com","email_verified":true,`+
			`"identities":[{"connection":"Username-Password-Authentication","provider":"auth0","user_id":"65e1%020[1]d","isSocial":false},`+
			`{"connection":"google-oauth2","provider":"google-oauth2","user_id":"%021[1]d","isSocial":true,`+
			`"profileData":{"email":"user%[1]d@gmail.com","email_verified":true,"name":"User %[1]d","given_name":"User","family_name":"%[1]d"}}],`+
			`"name":"User %[1]d","nickname":"user%[1]d","picture":"https://s.gravatar.com/avatar/%032[1]d?s=480&r=pg",`+
			`"updated_at":"2026-08-01T10:20:30.405Z","user_id":"auth0|65e1%020[1]d",`+
			`"user_metadata":{"theme":"dark","language":"en","favorites":["a","b","c"]},`+
			`"app_metadata":{"plan":"gold","roles":["editor","admin"],"limits":{"seats":10,"projects":25}},`+
			`"last_ip":"203.0.113.%[1]d","last_login":"2026-08-19T08:09:10.111Z","logins_count":%[2]d}`, n, n*7)
	})
}

// clients is a page of applications as GET /clients sends it.
func clients() []byte {
	return page(`{"start":0,"limit":50,"total":120,"clients":[`, func(n int) string {
		return fmt.Sprintf(`{"tenant":"bench","global":false,"is_token_endpoint_ip_header_trusted":false,"name":"Application %[1]d",`+
			`"description":"Web application %[1]d","is_first_party":true,"oidc_conformant":true,"sso_disabled":false,`+
			`"cross_origin_authentication":false,"client_id":"%032[1]d","app_type":"regular_web",`+
			`"callbacks":["https://app%[1]d.example.com/callback","https://app%[1]d.example.org/callback"],`+
			`"allowed_logout_urls":["https://app%[1]d.example.com"],"web_origins":["https://app%[1]d.example.com"],`+
			`"allowed_clients":[],"client_aliases":[],"logo_uri":"https://app%[1]d.example.com/logo.png",`+
			`"grant_types":["authorization_code","implicit","refresh_token","client_credentials"],`+
			`"jwt_configuration":{"alg":"RS256","lifetime_in_seconds":36000,"secret_encoded":false},`+
			`"refresh_token":{"expiration_type":"expiring","leeway":10,"token_lifetime":2592000,"idle_token_lifetime":1296000,`+
			`"infinite_token_lifetime":false,"infinite_idle_token_lifetime":false,"rotation_type":"rotating"},`+
			`"native_social_login":{"apple":{"enabled":false},"facebook":{"enabled":false}},`+
			`"mobile":{"ios":{"team_id":"9JA89QQLNQ","app_bundle_identifier":"com.example.app%[1]d"}},`+
			`"signing_keys":[{"cert":"-----BEGIN CERTIFICATE-----\r\n%0900[1]d\r\n-----END CERTIFICATE-----","subject":"/CN=bench.eu.auth0.com"}],`+
			`"token_endpoint_auth_method":"client_secret_post","custom_login_page_on":true,"organization_usage":"allow",`+
			`"organization_require_behavior":"no_prompt","client_metadata":{"team":"web","cost":"%[1]d"}}`, n)
	})
}

// connections is a page of connections of four strategies, as GET /connections
// sends it with checkpoint paging.
func connections() []byte {
	options := [...]struct{ strategy, options string }{
		{"auth0", `{"mfa":{"active":true,"return_enroll_settings":true},"passwordPolicy":"good","password_history":{"size":5,"enable":true},` +
			`"password_no_personal_info":{"enable":true},"password_dictionary":{"enable":true,"dictionary":["bench","example"]},` +
			`"password_complexity_options":{"min_length":12},"brute_force_protection":true,"disable_signup":false,"requires_username":false,` +
			`"import_mode":false,"enabledDatabaseCustomization":false}`},
		{"google-oauth2", `{"client_id":"1234.apps.googleusercontent.com","client_secret":"not a secret","email":true,"profile":true,` +
			`"scope":["email","profile"],"set_user_root_attributes":"on_each_login"}`},
		{"samlp", `{"signInEndpoint":"https://idp.example.com/saml","signOutEndpoint":"https://idp.example.com/logout","signingCert":"MIIC",` +
			`"debug":false,"signSAMLRequest":true,"signatureAlgorithm":"rsa-sha256","digestAlgorithm":"sha256","domain_aliases":["example.com"],` +
			`"tenant_domain":"example.com","icon_url":"https://idp.example.com/icon.png","protocolBinding":"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"}`},
		{"oidc", `{"type":"back_channel","issuer":"https://idp.example.com","client_id":"abc","client_secret":"not a secret",` +
			`"discovery_url":"https://idp.example.com/.well-known/openid-configuration","jwks_uri":"https://idp.example.com/jwks",` +
			`"authorization_endpoint":"https://idp.example.com/authorize","token_endpoint":"https://idp.example.com/token",` +
			`"userinfo_endpoint":"https://idp.example.com/userinfo","scope":"openid profile email","domain_aliases":["example.com"]}`},
	}
	return page(`{"next":"Fe26.2","connections":[`, func(n int) string {
		o := options[n%len(options)]
		return fmt.Sprintf(`{"id":"con_%016[1]d","name":"connection-%[1]d","display_name":"Connection %[1]d","strategy":%[2]q,"options":%[3]s,`+
			`"realms":["connection-%[1]d"],"is_domain_connection":false,"show_as_button":true,`+
			`"enabled_clients":["%032[1]d","%031[1]da"],"metadata":{"team":"web"}}`, n, o.strategy, o.options)
	})
}

func page(head string, entry func(n int) string) []byte {
	list := make([]string, entries)
	for n := range list {
		list[n] = entry(n)
	}
	return []byte(head + strings.Join(list, ",") + "]}")
}
