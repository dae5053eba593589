// Package importer brings users into Auth0, from a handful to millions, and
// accounts for every one of them.
//
// A [Source] is where users come from: newline-delimited JSON, a JSON array,
// CSV, an export of another tenant, each of them gzipped or not, or an iterator
// of the program's own. Users are read one at a time and each is held against
// what Auth0 takes before anything is sent. [Inspect] does only that.
package importer
