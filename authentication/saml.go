package authentication

import (
	"context"
	"net/http"
	"net/url"

	"github.com/headroom-go/auth0"
)

// SAMLService is for applications that log users in with SAML.
type SAMLService struct{ c hidden[*core] }

// SAMLRequest are the parameters of SAMLService.URL.
type SAMLRequest struct {
	Connection   string `url:"connection,omitempty"`
	Organization string `url:"organization,omitempty"`
	// SAMLRequest is the request, deflated and in base64.
	SAMLRequest string `url:"SAMLRequest,omitempty"`
	RelayState  string `url:"RelayState,omitempty"`
}

// URL returns the URL to send the browser to for a login.
//
//auth0:op GET /samlp/{client_id}
func (s SAMLService) URL(clientID string, p *SAMLRequest) string {
	return s.c().browser("/samlp/"+url.PathEscape(clientID), query(p).Encode())
}

// Metadata returns the identity provider metadata of an application, as XML.
//
//auth0:op GET /samlp/metadata/{client_id}
func (s SAMLService) Metadata(ctx context.Context, clientID string, opts ...auth0.RequestOption) ([]byte, error) {
	return document(ctx, s.c(), "/samlp/metadata/{client_id}", []string{clientID}, nil, opts)
}

// ConnectionMetadata returns the service provider metadata of a connection, as
// XML.
func (s SAMLService) ConnectionMetadata(ctx context.Context, connection string, opts ...auth0.RequestOption) ([]byte, error) {
	return document(ctx, s.c(), "/samlp/metadata", nil, url.Values{"connection": {connection}}, opts)
}

// Logout sends a SAML LogoutRequest and returns the answer.
//
//auth0:op POST /samlp/{client_id}/logout
func (s SAMLService) Logout(ctx context.Context, clientID string, logoutRequest []byte, opts ...auth0.RequestOption) ([]byte, error) {
	xml := []auth0.RequestOption{auth0.Header("Accept", "*/*"), auth0.ContentType("application/xml")}
	return plain[[]byte](ctx, s.c(), http.MethodPost, "/samlp/{client_id}/logout", []string{clientID}, nil, logoutRequest, append(xml, opts...))
}

// CallbackForm returns the action and the fields of the form by which an
// identity provider begins a login: for the browser to post.
//
//auth0:op POST /login/callback
func (s SAMLService) CallbackForm(connection, samlResponse string) (action string, fields url.Values) {
	return s.c().browser("/login/callback", url.Values{"connection": {connection}}.Encode()), url.Values{"SAMLResponse": {samlResponse}}
}

// WSFederationService is for applications that log users in with WS-Federation.
type WSFederationService struct{ c hidden[*core] }

// WSFederation are the parameters of WSFederationService.URL.
type WSFederation struct {
	// Realm is urn:CLIENT_ID or a client alias, where there is no client id.
	Realm string `url:"wtrealm,omitempty"`
	// HomeRealm is urn:CONNECTION_NAME.
	HomeRealm string `url:"whr,omitempty"`
	Context   string `url:"wctx,omitempty"`
	Reply     string `url:"wreply,omitempty"`
}

// URL returns the URL to send the browser to for a login. clientID may be empty
// where p has a Realm.
//
//auth0:op GET /wsfed/{client_id}
func (s WSFederationService) URL(clientID string, p *WSFederation) string {
	path := "/wsfed"
	if clientID != "" {
		path += "/" + url.PathEscape(clientID)
	}
	return s.c().browser(path, query(p).Encode())
}

// Metadata returns the tenant's metadata, as XML.
//
//auth0:op GET /wsfed/FederationMetadata/2007-06/FederationMetadata.xml
func (s WSFederationService) Metadata(ctx context.Context, opts ...auth0.RequestOption) ([]byte, error) {
	return document(ctx, s.c(), "/wsfed/FederationMetadata/2007-06/FederationMetadata.xml", nil, nil, opts)
}
