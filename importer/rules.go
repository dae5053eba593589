package importer

import "strconv"

// A rule is something that every user has to meet. Its name is part of what
// callers and reports rely on.
type rule uint8

// The rules. What each demands is in ruleTexts and, with the checks, in the
// files of readers, users and hashes.
const (
	ruleUTF8 rule = iota
	ruleJSON
	ruleObject
	ruleTooLong
	ruleArray
	ruleCSV
	ruleCSVValue
	ruleUnknownField
	ruleFieldTwice
	ruleType
	ruleLength
	ruleEmail
	rulePhone
	ruleUserID
	rulePicture
	ruleIdentity
	ruleMetadataKey
	ruleHashExclusive
	rulePasswordExclusive
	ruleNeedsJob
	ruleNeedsUsers
	ruleNeedsPassword
	ruleSize
	ruleDuplicate
	ruleBcrypt
	ruleBcryptCost
	ruleHashField
	ruleHashAlgorithm
	ruleHashValue
	ruleHashEncoding
	ruleHashLength
	ruleHashDigest
	ruleHashKey
	ruleSaltForbidden
	ruleSaltValue
	ruleSaltEncoding
	ruleSaltPosition
	rulePasswordEncoding
	ruleScryptKeylen
	ruleScryptCost
	ruleScryptNumber
	ruleArgon2
	rulePBKDF2
	rulePBKDF2Digest
	ruleLDAP
	ruleLDAPScheme
	ruleMFACount
	ruleMFAForm
	ruleMFATOTP
	ruleMFAPhone
	ruleMFAEmail
	ruleCount
)

// ruleTexts has each rule's name and what to do about a user who breaks it.
var ruleTexts = [ruleCount]struct{ name, remedy string }{
	ruleUTF8:              {"utf8", "store the input as UTF-8"},
	ruleJSON:              {"json", "write the user as one JSON object"},
	ruleObject:            {"object", "write the user as one JSON object"},
	ruleTooLong:           {"too-long", "look for a missing line end or quote"},
	ruleArray:             {"array-syntax", "mend the brackets and commas of the array"},
	ruleCSV:               {"csv-syntax", "mend the quotes and separators of the row"},
	ruleCSVValue:          {"csv-value", "write a value of the type that the column is for"},
	ruleUnknownField:      {"unknown-field", "correct the name, move it into user_metadata or app_metadata, or take it out"},
	ruleFieldTwice:        {"field-twice", "keep one of them"},
	ruleType:              {"type", "write it as that type, or leave it out"},
	ruleLength:            {"length", "make it fit, or leave it out"},
	ruleEmail:             {"email-form", "write one address such as name@example.com, without spaces or a display name"},
	rulePhone:             {"phone-form", "write + and up to 15 digits, country code first, without spaces"},
	ruleUserID:            {"user-id-form", "take the white space out"},
	rulePicture:           {"picture-form", "write the whole URL, beginning with https://"},
	ruleIdentity:          {"identity", "give the user an email, a username or a phone_number"},
	ruleMetadataKey:       {"metadata-key", "rename or remove the key: Auth0 keeps it for itself"},
	ruleHashExclusive:     {"hash-exclusive", "keep one of the two"},
	rulePasswordExclusive: {"password-exclusive", "keep the password or what only an import job can set"},
	ruleNeedsJob:          {"needs-job", "import the user by a job (--via jobs), or leave the field out"},
	ruleNeedsUsers:        {"needs-users", "import the user by a call of its own (--via users), or leave the field out"},
	ruleNeedsPassword:     {"needs-password", "give the user a password, or import the user by a job (--via jobs)"},
	ruleSize:              {"size", "shorten the user's metadata: an import job takes 512,000 bytes at most, all around it included"},
	ruleDuplicate:         {"duplicate", "keep one of them"},
	ruleBcrypt:            {"bcrypt-form", "write the 60 characters that bcrypt makes"},
	ruleBcryptCost:        {"bcrypt-cost", "move a hash of another cost to custom_password_hash with the algorithm bcrypt"},
	ruleHashField:         {"hash-field", "correct the name or take it out"},
	ruleHashAlgorithm:     {"hash-algorithm", "write argon2, bcrypt, hmac, ldap, md4, md5, sha1, sha256, sha512, pbkdf2 or scrypt"},
	ruleHashValue:         {"hash-value", "write the hash, in the encoding that hash.encoding names"},
	ruleHashEncoding:      {"hash-encoding", "name the encoding that hash.value is in"},
	ruleHashLength:        {"hash-length", "check the algorithm, the encoding and that the hash was not cut off"},
	ruleHashDigest:        {"hmac-digest", "write md4, md5, ripemd160, sha1, sha224, sha256, sha384, sha512 or whirlpool"},
	ruleHashKey:           {"hmac-key", "write the key in hash.key.value, and its encoding (base64, hex or utf8) in hash.key.encoding"},
	ruleSaltForbidden:     {"salt-forbidden", "leave it out: the salt is part of hash.value"},
	ruleSaltValue:         {"salt-value", "write the salt, in the encoding that salt.encoding names"},
	ruleSaltEncoding:      {"salt-encoding", "write base64, hex or utf8"},
	ruleSaltPosition:      {"salt-position", "write prefix or suffix"},
	rulePasswordEncoding:  {"password-encoding", "write ascii, utf8, utf16le, ucs2, latin1 or binary"},
	ruleScryptKeylen:      {"scrypt-keylen", "write the length of the hash in bytes"},
	ruleScryptCost:        {"scrypt-cost", "write a power of two greater than one"},
	ruleScryptNumber:      {"scrypt-number", "write a whole number greater than zero"},
	ruleArgon2:            {"argon2-phc", "write the PHC string: $argon2id$v=19$m=65536,t=2,p=1$SALT$HASH"},
	rulePBKDF2:            {"pbkdf2-phc", "write the PHC string: $pbkdf2-sha512$i=100000,l=64$SALT$HASH, base64 without padding"},
	rulePBKDF2Digest:      {"pbkdf2-digest", "write a digest that Auth0 knows, such as pbkdf2-sha256 or pbkdf2-sha512"},
	ruleLDAP:              {"ldap-form", "write the scheme in braces and the hash in base64: {SSHA}HASH"},
	ruleLDAPScheme:        {"ldap-scheme", "use a hash of the schemes MD5, SMD5, SHA... or SSHA...: CRYPT is not taken"},
	ruleMFACount:          {"mfa-count", "list 1 to 10 factors"},
	ruleMFAForm:           {"mfa-form", `write {"totp":{"secret":...}}, {"phone":{"value":...}} or {"email":{"value":...}}`},
	ruleMFATOTP:           {"mfa-totp", "write the secret in Base32 (A-Z, 2-7) without padding or spaces"},
	ruleMFAPhone:          {"mfa-phone", "write + and up to 15 digits, country code first"},
	ruleMFAEmail:          {"mfa-email", "write one address such as name@example.com"},
}

// problem makes the account of a broken rule. What is wrong must not quote a value.
func problem(number, line int, field string, r rule, what string) Problem {
	where := "line " + strconv.Itoa(line)
	if line == 0 {
		where = "user " + strconv.Itoa(number)
	}
	if field != "" {
		where += ": " + field
	}
	t := &ruleTexts[r]
	return Problem{
		Number: number, Line: line, Field: field, Rule: t.name,
		Message: where + ": " + what + "; " + t.remedy + " (rule " + t.name + ")",
	}
}
