package main

import (
	"strings"
	"unicode"
)

// initialisms are the words that Go names write in their own way.
var initialisms = map[string]string{
	"aaguid": "AAGUID", "b2b": "B2B", "xss": "XSS", "dn": "DN", "sha1": "SHA1", "sha256": "SHA256", "hcaptcha": "HCaptcha", "md5": "MD5", "sapapi": "SAPAPI", "http2": "HTTP2",
	"acl": "ACL", "acls": "ACLs", "acr": "ACR", "acs": "ACS", "ad": "AD", "adfs": "ADFS", "api": "API", "apis": "APIs",
	"apns": "APNS", "asn": "ASN", "asns": "ASNs", "aws": "AWS", "cidr": "CIDR", "cidrs": "CIDRs", "cimd": "CIMD", "csp": "CSP",
	"css": "CSS", "db": "DB", "dns": "DNS", "dpop": "DPoP", "ec": "EC", "fcm": "FCM", "fedcm": "FedCM", "github": "GitHub",
	"hmac": "HMAC", "html": "HTML", "http": "HTTP", "https": "HTTPS", "id": "ID", "idp": "IdP", "ids": "IDs", "ip": "IP",
	"ips": "IPs", "ipv4": "IPv4", "ipv6": "IPv6", "iss": "Iss", "ja3": "JA3", "ja4": "JA4", "json": "JSON", "jwe": "JWE", "jwk": "JWK",
	"jwks": "JWKS", "jws": "JWS", "jwt": "JWT", "kms": "KMS", "ldap": "LDAP", "mfa": "MFA", "mdl": "MDL", "oag": "OAG",
	"oauth": "OAuth", "oauth1": "OAuth1", "oauth2": "OAuth2", "oidc": "OIDC", "otp": "OTP", "par": "PAR", "pem": "PEM",
	"pii": "PII", "pkce": "PKCE", "pkcs7": "PKCS7", "pkcs8": "PKCS8", "qr": "QR", "rms": "RMS", "rsa": "RSA", "saml": "SAML", "samlp": "SAMLP", "sap": "SAP", "scim": "SCIM", "sdk": "SDK",
	"ses": "SES", "smtp": "SMTP", "sms": "SMS", "sns": "SNS", "sql": "SQL", "ssl": "SSL", "sso": "SSO", "tls": "TLS", "tos": "TOS",
	"totp": "TOTP", "ttl": "TTL", "ui": "UI", "uri": "URI", "uris": "URIs", "url": "URL", "urls": "URLs", "utc": "UTC",
	"uuid": "UUID", "vc": "VC", "wams": "WAMS", "wsfed": "WSFed", "xaa": "XAA", "xml": "XML", "ip4": "IP4", "mscrm": "MSCRM", "sb": "SB",
	"fcmv1": "FCMv1", "webauthn": "WebAuthn", "linkedin": "LinkedIn", "paypal": "PayPal", "hubspot": "HubSpot",
	"mailchimp": "Mailchimp", "bigquery": "BigQuery", "clearbit": "Clearbit", "whatsapp": "WhatsApp", "docusign": "DocuSign",
	"sendgrid": "SendGrid", "sharepoint": "SharePoint", "eventbridge": "EventBridge", "eventgrid": "EventGrid",
	"windowslive": "WindowsLive", "pingfederate": "PingFederate", "wordpress": "WordPress", "mtls": "MTLS", "acul": "Rendering", "aculs": "Renderings",
	"guid": "GUID", "upn": "UPN", "nnumber": "Number", "vid": "VID", "kid": "KID", "alg": "Alg", "algs": "Algs",
}

// words splits an identifier of any style.
func words(s string) []string {
	var out []string
	var cur []rune
	flush := func() {
		if len(cur) > 0 {
			out = append(out, string(cur))
			cur = nil
		}
	}
	rs := []rune(s)
	for i, r := range rs {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
			continue
		case unicode.IsUpper(r) && i > 0:
			prevLower := unicode.IsLower(rs[i-1]) || unicode.IsDigit(rs[i-1])
			nextLower := i+1 < len(rs) && unicode.IsLower(rs[i+1])
			if prevLower || unicode.IsUpper(rs[i-1]) && nextLower && !plural(rs, i) {
				flush()
			}
		}
		cur = append(cur, r)
	}
	flush()
	return fuse(out)
}

// plural reports whether the upper-case letter at i ends an initialism in the plural, as the L of URLs does.
func plural(rs []rune, i int) bool {
	return rs[i+1] == 's' && (i+2 == len(rs) || !unicode.IsLower(rs[i+2]))
}

// fused are words that capital letters tear apart.
var fused = [][]string{{"o", "auth"}, {"o", "auth2"}, {"o", "auth1"}, {"open", "id"}, {"git", "hub"}, {"ms", "crm"}, {"d", "po", "p"}, {"fed", "cm"}, {"id", "p"}, {"linked", "in"}, {"wind", "owslive"}, {"pk", "ce"}, {"ws", "fed"}, {"web", "authn"}, {"io", "s"}, {"i", "os"}, {"hub", "spot"}, {"b2", "b"}}

func fuse(ws []string) []string {
	for _, f := range fused {
		for i := 0; i+len(f) <= len(ws); i++ {
			ok := true
			for j := range f {
				ok = ok && strings.EqualFold(ws[i+j], f[j])
			}
			if ok {
				joined := strings.Join(ws[i:i+len(f)], "")
				ws = append(ws[:i:i], append([]string{joined}, ws[i+len(f):]...)...)
			}
		}
	}
	return ws
}

// goName writes words as one exported Go name.
func goName(ws ...string) string {
	var b strings.Builder
	for _, w := range ws {
		l := strings.ToLower(w)
		if s, ok := initialisms[l]; ok {
			b.WriteString(s)
			continue
		}
		if w == strings.ToUpper(w) {
			w = l
		}
		r := []rune(w)
		b.WriteRune(unicode.ToUpper(r[0]))
		b.WriteString(string(r[1:]))
	}
	s := b.String()
	if s == "" {
		return "Empty"
	}
	if unicode.IsDigit(rune(s[0])) {
		s = "X" + s
	}
	return s
}

func exported(s string) string { return goName(words(s)...) }

// singular of an English noun, as far as the API's names need it.
func singular(w string) string {
	l := strings.ToLower(w)
	switch {
	case l == "sms" || l == "https" || l == "settings" || l == "analytics" || l == "dns" || l == "aws" || l == "sns" || l == "apns" || l == "status" || l == "ses" || l == "address" || l == "access":
		return w
	case strings.HasSuffix(l, "ies") && len(l) > 4:
		return w[:len(w)-3] + "y"
	case strings.HasSuffix(l, "ses") && !strings.HasSuffix(l, "nses") || strings.HasSuffix(l, "xes") || strings.HasSuffix(l, "ches"):
		return w[:len(w)-2]
	case strings.HasSuffix(l, "s") && !strings.HasSuffix(l, "ss") && len(l) > 2:
		return w[:len(w)-1]
	}
	return w
}

var requestVerbs = map[string]string{
	"Create": "Create", "Post": "Create", "Update": "Update", "Patch": "Update", "Set": "Set", "Sets": "Set", "Replace": "Set",
	"Add": "Add", "Assign": "Assign", "Associate": "Add", "Delete": "Delete", "Rotate": "Rotate", "Register": "Register",
	"Preview": "Preview", "Reset": "Reset", "Test": "Test", "Verify": "Verify", "Import": "Import", "Deploy": "Deploy",
	"Rollback": "Rollback", "Bulk": "Bulk", "Revoke": "Revoke", "Clear": "Clear", "Change": "Change", "Link": "Link",
}

var responseVerbs = map[string]bool{"Create": true, "Post": true, "Update": true, "Patch": true, "Set": true, "Get": true, "List": true, "Add": true, "Associate": true, "Search": true, "Read": true, "Bulk": true, "Import": true, "Reset": true}

// shorter are runs of words that our names leave out or put more shortly.
var shorter = []struct{ old, new string }{
	{"EventStreamCloudEvent", "Event"},
	{"EventStreamSubscribeEvents", "Event"},
	{"ClientCreateAuthenticationMethod", "ClientAuthCreate"},
	{"ClientAuthenticationMethod", "ClientAuth"},
	{"ClientMyOrganization", "ClientMyOrg"},
	{"UserAttributeProfileStrategyOverrides", "UserAttributeOverrides"},
	{"ConnectionProfileCrossAppAccessResourceApp", "ConnectionProfileResourceApp"},
	{"BrandingThemeIdentifiersPhoneDisplay", "BrandingThemePhone"},
	{"ResourceServerSubjectTypeAuthorization", "ResourceServerAuthorization"},
	{"ResourceServerProofOfPossession", "ResourceServerPoP"},
	{"ClientTokenVaultPrivilegedAccess", "ClientTokenVault"},
	{"ClientSignedRequestObject", "ClientSignedRequest"},
	{"BreachedPasswordDetection", "BreachedPassword"},
	{"PreChangePasswordStage", "ChangeStage"},
	{"SelfSignedTLSClientAuth", "SelfSignedTLS"},
	{"FormFieldPaymentConfigCharge", "FormPaymentCharge"},
	{"FormWidgetAuth0VerifiableCredentials", "FormWidgetCredentials"},
	{"IdentityAssertionAuthorizationGrant", "IdentityAssertionGrant"},
	{"ClientSessionTransferAllowedAuthenticationMethods", "ClientSessionTransferMethod"},
	{"CimdMappedClientAuthenticationMethods", "CimdAuthMethods"},
	{"ShouldTrustEmailVerifiedConnectionEnum", "TrustEmailEnum"},
	{"B2bIntegrationConfiguration", "B2BIntegration"},
	{"ThirdPartyClientAccess", "ThirdPartyAccess"},
	{"FlowsVaultConnectioSetup", "VaultSetup"},
	{"FlowsVaultConnection", "VaultConnection"},
	{"GuardianFactorsProvider", "GuardianProvider"},
	{"GuardianFactorPhone", "GuardianPhone"},
	{"GuardianFactorSms", "GuardianSms"},
	{"ProviderPushNotification", "Push"},
	{"RiskAssessmentsSettings", "RiskSettings"},
	{"AttackProtection", "Attack"},
	{"PhoneProviderProtection", "PhoneProtection"},
	{"ObjectIdentitiesItem", "Identity"},
	{"OptionsAuth0OIDC", "OptionsAuth0OIDC"},
	{"Paginated", ""},
	{"Offset", ""},
	{"OIDCBackchannel", "Backchannel"},
	{"ConfigurationItem", "Item"},
	{"SelfServiceProfileSsoTicket", "SSOTicket"},
	{"UserAttributeProfileUserAttribute", "UserAttributeProfileAttribute"},
	{"AdditionalProperties", "Item"},
}

// alias puts places of the document under another name, where its own does not say what they are.
var alias = map[string]string{
	"EventStreamCloudEvent":                               "EventStreamDeliveredEvent",
	"EventStreamSubscribeEventsResponseContent":           "EventMessage",
	"EventStreamWebhookAuthorizationResponse":             "EventStreamWebhookAuthorization",
	"PostEventStreamsRequestContent":                      "EventStreamCreate",
	"ConnectionForList":                                   "Connection",
	"GetOrganizationByNameResponseContent":                "Organization",
	"GetOrganizationDiscoveryDomainByNameResponseContent": "OrganizationDiscoveryDomain",
	"RegenerateUsersRecoveryCodeResponseContent":          "UserRecoveryCode",
	"RotateConnectionsKeysResponseContent":                "ConnectionKey",
	"DeployActionResponseContent":                         "ActionVersion",
	"DeployActionVersionResponseContent":                  "ActionVersion",
	"CreateImportUsersResponseContent":                    "Job",
	"CreateExportUsersResponseContent":                    "Job",
	"CreateVerificationEmailResponseContent":              "Job",
	"OrganizationAllConnectionPost":                       "OrganizationAllConnection",
	"OrganizationEnabledConnection":                       "OrganizationConnection",
	"UserGroupsResponseSchema":                            "UserGroup",
	"UpdateActionBindingsResponseContent":                 "ActionBinding",
	"VerifyCustomDomainResponseContent":                   "CustomDomain",
	"RotateClientSecretResponseContent":                   "Client",
	"GetActionModuleVersionResponseContent":               "ActionModuleVersion",
	"RollbackActionModuleResponseContent":                 "ActionModule",
	"NetworkAclsResponseContent":                          "NetworkACL",
	"SetNetworkAclsResponseContent":                       "NetworkACL",
	"GetNetworkAclsResponseContent":                       "NetworkACL",
	"PhoneProviderSchemaMasked":                           "BrandingPhoneProvider",
	"UserEffectivePermissionRoleSourceResponseContent":    "UserEffectivePermissionRole",
	"TestActionResponseContent":                           "ActionTestResult",
	"TestActionRequestContent":                            "ActionTest",
	"TestCustomDomainResponseContent":                     "CustomDomainTest",
	"GetSettingsResponseContent":                          "PromptSettings",
	"UpdateSettingsResponseContent":                       "PromptSettings",
	"UpdateSettingsRequestContent":                        "PromptSettingsUpdate",
	"VerifyEmailTicketRequestContent":                     "TicketVerifyEmail",
	"VerifyEmailTicketResponseContent":                    "Ticket",
	"ChangePasswordTicketRequestContent":                  "TicketChangePassword",
	"ChangePasswordTicketResponseContent":                 "Ticket",
	"ValidateExperimentResponseContent":                   "ExperimentValidation",
	"RotateSigningKeysResponseContent":                    "SigningKeyRotated",
	"RevokedSigningKeysResponseContent":                   "SigningKeyRevoked",
	"SigningKeys":                                         "SigningKey",
	"GetSigningKeysResponseContent":                       "SigningKey",
	"PreviewCimdMetadataResponseContent":                  "CIMDPreview",
	"PreviewCimdMetadataRequestContent":                   "CIMDPreviewCreate",
	"RegisterCimdClientResponseContent":                   "CIMDRegistration",
	"RegisterCimdClientRequestContent":                    "CIMDRegister",
	"AttackProtectionUpdateCaptchaArkose":                 "AttackCaptchaArkoseUpdate",
	"AttackProtectionUpdateCaptchaHcaptcha":               "AttackCaptchaHcaptchaUpdate",
	"AttackProtectionUpdateCaptchaFriendlyCaptcha":        "AttackCaptchaFriendlyUpdate",
	"AttackProtectionUpdateCaptchaRecaptchaEnterprise":    "AttackCaptchaEnterpriseUpdate",
	"AttackProtectionUpdateCaptchaRecaptchaV2":            "AttackCaptchaRecaptchaV2Update",
	"CreateKeysNetworkAclsRequestContent":                 "NetworkACLKeyCreate",
	"UsersEnrollment":                                     "UserEnrollment",
	"SynchronizeGroupsEnum":                               "DirectorySynchronizeGroups",
	"Identity":                                            "ChangePasswordIdentity",
	"ClientCreateAuthenticationMethod":                    "ClientAuthenticationMethodCreate",
}

// typeName derives our name for a place in the document, "CreateUserRequestContent" or "CreateUserRequestContent.roles.item".
func typeName(from string, sent bool) string {
	parts := strings.Split(from, ".")
	base := parts[0]
	if a, ok := alias[base]; ok {
		parts[0] = a
		return joinPath(words(a), parts[1:])
	}
	request := strings.HasSuffix(base, "RequestContent") || strings.HasSuffix(base, "RequestBody") || strings.HasSuffix(base, "RequestPayload")
	response := strings.HasSuffix(base, "ResponseContent")
	for _, suffix := range []string{"RequestContent", "ResponseContent", "RequestBody", "ResponseSchema", "ResponseBody", "RequestPayload", "ResponsePayload", "Schema", "Enum", "Const"} {
		base = strings.TrimSuffix(base, suffix)
	}
	base = strings.ReplaceAll(base, "ResponseContent", "")
	base = strings.ReplaceAll(base, "RequestContent", "")
	base = strings.ReplaceAll(base, "RequestParameters", "")
	for _, s := range shorter {
		base = strings.ReplaceAll(base, s.old, s.new)
	}
	ws := words(base)
	if len(ws) > 1 {
		if v, ok := requestVerbs[ws[0]]; ok && (request || !response && sent && ws[0] != "Test" && ws[0] != "Link" && ws[0] != "Change") {
			if v == "Bulk" {
				ws = append(ws[1:], "Bulk")
			} else {
				ws = append(ws[1:], v)
			}
		} else if responseVerbs[ws[0]] {
			ws = ws[1:]
		}
	}
	return joinPath(ws, parts[1:])
}

func joinPath(ws, path []string) string {
	for _, p := range path {
		switch p {
		case "item", "value":
			ws[len(ws)-1] = singular(ws[len(ws)-1])
		default:
			if p[0] >= '0' && p[0] <= '9' {
				ws = append(ws, p)
				continue
			}
			ws = append(ws, words(p)...)
		}
	}
	return goName(ws...)
}
