package authentication

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/headroom-go/auth0"
	"github.com/headroom-go/auth0/ratelimit"
)

// ErrorCode names a failure: error of OAuth, code of database connections. Codes
// that have no constant here pass as they are.
type ErrorCode string

// The codes that programs act on.
const (
	AccessDenied             ErrorCode = "access_denied"
	AssociationRequired      ErrorCode = "association_required" // the user has no second factor yet
	AuthorizationPending     ErrorCode = "authorization_pending"
	ConsentRequired          ErrorCode = "consent_required"
	ExpiredToken             ErrorCode = "expired_token"
	InteractionRequired      ErrorCode = "interaction_required"
	InvalidClient            ErrorCode = "invalid_client"
	InvalidConnection        ErrorCode = "invalid_connection"
	InvalidDPoPProof         ErrorCode = "invalid_dpop_proof"
	InvalidGrant             ErrorCode = "invalid_grant"
	InvalidPassword          ErrorCode = "invalid_password" // too weak; see Error.PasswordRules
	InvalidRequest           ErrorCode = "invalid_request"
	InvalidScope             ErrorCode = "invalid_scope"
	InvalidSignup            ErrorCode = "invalid_signup"
	InvalidUserPassword      ErrorCode = "invalid_user_password"
	LoginRequired            ErrorCode = "login_required"
	MFAInvalidCode           ErrorCode = "mfa_invalid_code"
	MFARequired              ErrorCode = "mfa_required" // go on with Error.MFAToken
	PasswordDictionary       ErrorCode = "password_dictionary_error"
	PasswordHistory          ErrorCode = "PasswordHistoryError"
	PasswordLeaked           ErrorCode = "password_leaked"
	PasswordNoUserInfo       ErrorCode = "password_no_user_info_error"
	PasswordStrength         ErrorCode = "password_strength_error"
	RequiresVerification     ErrorCode = "requires_verification"
	ServerError              ErrorCode = "server_error"
	SlowDown                 ErrorCode = "slow_down"
	SMSProviderError         ErrorCode = "sms_provider_error"
	TooManyAttempts          ErrorCode = "too_many_attempts"
	TooManyRequests          ErrorCode = "too_many_requests"
	Unauthorized             ErrorCode = "unauthorized"
	UnauthorizedClient       ErrorCode = "unauthorized_client"
	UnknownUserID            ErrorCode = "unknown_user_id"
	UnsupportedChallengeType ErrorCode = "unsupported_challenge_type"
	UnsupportedGrantType     ErrorCode = "unsupported_grant_type"
	UnsupportedResponseType  ErrorCode = "unsupported_response_type"
	UseDPoPNonce             ErrorCode = "use_dpop_nonce"
	UserExists               ErrorCode = "user_exists"
	UsernameExists           ErrorCode = "username_exists"
)

// Error is an answer that refuses. It wraps the *auth0.Error of the call, so
// errors.Is finds auth0.ErrRateLimited, auth0.ErrTooManyAttempts and the other
// kinds in it. Printed or logged it shows no token, and of the description only
// what is not personal.
type Error struct {
	// Code is the cause, "" where the answer names none.
	Code ErrorCode
	// Description is the server's text. It may hold personal data.
	Description string
	// URI leads to a page about the failure, where the server gives one.
	URI string
	// MFAToken goes on with a login that needs a second factor.
	MFAToken string
	// MFARequirements are the factors that the login may go on with.
	MFARequirements MFARequirements
	// PasswordRules are the rules of the password policy, with which of them the
	// password meets, where a password was too weak and the answer has them.
	PasswordRules []PasswordRule
	// PasswordPolicy is the same as text to show to the user.
	PasswordPolicy string
	// UserBlocked is set when the user is blocked, by an administrator or by
	// attack protection.
	UserBlocked bool
	// ValidationErrors name the parameters that were wrong.
	ValidationErrors []ValidationError
	// Interval is the time between polls that the server asks for, 0 where it
	// does not say.
	Interval time.Duration
	// State is the state of a login that failed at the authorize endpoint.
	State string

	call *auth0.Error // nil for errors that came through the browser
}

// MFARequirements are the factors that a login may go on with.
type MFARequirements struct {
	// Challenge are enrolled factors to challenge.
	Challenge []MFAFactor `json:"challenge,omitempty"`
	// Enroll are factors that the user may enrol.
	Enroll []MFAFactor `json:"enroll,omitempty"`
	// ChallengeTypes are otp and oob, as far as the login may go on with them.
	ChallengeTypes []string `json:"challenge_types,omitempty"`
}

// MFAFactor is a kind of second factor.
type MFAFactor struct {
	// Type is otp, push-notification, phone, email or recovery-code.
	Type string `json:"type"`
}

// PasswordRule is a rule of a password policy.
type PasswordRule struct {
	// Code names the rule, as lengthAtLeast does.
	Code string `json:"code"`
	// Message is the rule in words, with verbs of printf for Format.
	Message string `json:"message"`
	// Format are the values of Message's verbs.
	Format []any `json:"format,omitempty"`
	// Verified is set when the password meets the rule.
	Verified bool `json:"verified"`
	// Items are the parts of a rule that has several.
	Items []PasswordRule `json:"items,omitempty"`
}

// ValidationError names a parameter that was wrong.
type ValidationError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error returns one line without anything secret.
func (e *Error) Error() string {
	if e.call != nil {
		return e.call.Error()
	}
	return "authentication: the tenant refused the login: " + plainCode(e.Code)
}

// Format writes Error, with %#v GoString, and never a field, whatever the verb.
func (e Error) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'v' && f.Flag('#'):
		_, _ = io.WriteString(f, e.GoString())
	case strings.ContainsRune("sqxX", verb):
		_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), e.Error())
	default:
		_, _ = io.WriteString(f, e.Error())
	}
}

// GoString returns the code alone.
func (e Error) GoString() string {
	return fmt.Sprintf("&authentication.Error{Code:%q}", plainCode(e.Code))
}

// LogValue returns what is safe to log.
func (e Error) LogValue() slog.Value {
	if e.call != nil {
		return e.call.LogValue()
	}
	return slog.GroupValue(slog.String("code", plainCode(e.Code)))
}

// Unwrap returns the *auth0.Error of the call, nil where the failure came
// through the browser.
func (e *Error) Unwrap() error {
	if e.call == nil {
		return nil
	}
	return e.call
}

// plainCode keeps codes, which a browser may have made up, to the characters of
// codes.
func plainCode(c ErrorCode) string {
	s := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' || r == '.' || r == '-' {
			return r
		}
		return -1
	}, string(c))
	return s[:min(len(s), 64)]
}

// CodeOf returns the code of an error of this package, "" when it has none.
//
//	switch authentication.CodeOf(err) {
//	case authentication.MFARequired:
func CodeOf(err error) ErrorCode {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if e, ok := errors.AsType[*auth0.Error](err); ok {
		return ErrorCode(e.Code)
	}
	return ""
}

// typed makes an *Error of an answer that refuses; other errors stay as they
// are.
func typed(err error) error {
	call, ok := err.(*auth0.Error) //nolint:errorlint // calls return it unwrapped, and what wraps it is typed already
	if !ok || call.Status == 0 {
		return err
	}
	e := &Error{Code: ErrorCode(call.Code), Description: call.Message, call: call}
	var body struct {
		URI         string            `json:"error_uri"`
		Token       string            `json:"mfa_token"`
		MFA         MFARequirements   `json:"mfa_requirements"`
		Description json.RawMessage   `json:"description"`
		Policy      string            `json:"policy"`
		Validation  []ValidationError `json:"validation_errors"`
		Interval    float64           `json:"interval"`
	}
	// Members of unexpected types are left out; the code is known already.
	_ = json.Unmarshal(call.Body(), &body)
	e.URI, e.MFAToken, e.MFARequirements = body.URI, body.Token, body.MFA
	e.PasswordPolicy, e.ValidationErrors = body.Policy, body.Validation
	if body.Interval > 0 && body.Interval < 1<<31 {
		e.Interval = time.Duration(body.Interval * float64(time.Second))
	}
	e.Interval = max(e.Interval, call.RetryAfter)
	var weak struct {
		Rules []PasswordRule `json:"rules"`
	}
	if json.Unmarshal(body.Description, &weak) == nil {
		e.PasswordRules = weak.Rules
	}
	e.UserBlocked = blocked(e.Code, e.Description)
	return e
}

// blocked reports whether a refusal is that of a blocked user.
func blocked(code ErrorCode, description string) bool {
	switch code {
	case Unauthorized, AccessDenied, TooManyAttempts, InvalidGrant:
		return strings.Contains(strings.ToLower(description), "blocked")
	}
	return false
}

func asError(err error) *Error {
	e, _ := errors.AsType[*Error](err)
	return e
}

// isOutage reports whether a call failed for want of a sensible answer: on the
// network, in whoever's timeout, at a failing server, or at a rate limit. Callers
// look at their own contexts themselves.
func isOutage(err error) bool {
	if errors.Is(err, auth0.ErrServer) || errors.Is(err, auth0.ErrRateLimited) {
		return true
	}
	call, ok := errors.AsType[*auth0.Error](err)
	_, noRoom := errors.AsType[*ratelimit.WaitError](err)
	// Without a code, what is wrapped kept the rest of an answer from arriving.
	none := ok && (call.Status == 0 || call.Code == "" && call.Unwrap() != nil)
	return none && call.Attempts > 0 && !noRoom
}
