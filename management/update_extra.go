package management

import (
	"encoding/json"

	"github.com/headroom-go/auth0"
)

// ToUpdate returns a body for [ClientsService.Update] that leaves the application as it is: change it and send it. It does not hold the
// secret, which would only be set to what it is, nor what the API does not let callers change, such as how the secret is encoded: that
// is shown with every application, and refused in a body.
func (v Client) ToUpdate() ClientUpdate {
	v.ClientSecret = ""
	u := convert[ClientUpdate](v)
	if u.JWTConfiguration != nil {
		u.JWTConfiguration.SecretEncoded = nil
	}
	return u
}

// ToUpdate returns a body for [ConnectionsService.Update] that leaves the connection as it is: change it and send it. The API replaces
// the options of a connection as a whole, so that leaving one out clears it; with ToUpdate none is left out. They are the
// connection's own and no copy: changing them changes both. It does not hold the applications that the connection is enabled for;
// ConnectionClientsService changes those.
func (v Connection) ToUpdate() ConnectionUpdate {
	options := v.Options
	v.Options, v.EnabledClients = ConnectionOptions{}, nil
	u := convert[ConnectionUpdate](v)
	u.Options = auth0.Null[ConnectionOptions]{}
	if b, err := json.Marshal(options); err == nil && string(b) != "null" {
		u.Options = auth0.NullOf(options)
	}
	return u
}

// convert copies the fields that two types have in common, by their JSON names. What does not fit is left out, as in an answer.
func convert[T any](from any) T {
	var to T
	if b, err := json.Marshal(from); err == nil {
		_ = auth0.Decode(b, &to)
	}
	return to
}
