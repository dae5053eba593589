package importer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// maxProblems is how many problems are kept.
const maxProblems = 1_000

// An Inspection is what is known of an input before anything is sent.
type Inspection struct {
	// Name is the source's, Size its length in bytes as it is stored, and SHA256
	// the checksum of those bytes in hexadecimal. For users from an iterator both
	// are taken over their JSON.
	Name   string
	Size   int64
	SHA256 string
	// Total is the number of users, those included that cannot be read or sent.
	Total int
	// Refused holds the numbers of the users who cannot be sent.
	Refused Ranges
	// Problems are why, in the order of the input; only the first 1,000 are kept.
	Problems []Problem
	// ByRule counts the users who break a rule, by its name.
	ByRule map[string]int
	// Dropped counts the users who had a field that no import takes, by its name.
	Dropped map[string]int
	// NotUpdated counts the users with a field that an upsert leaves as it was
	// where the user exists already, by its name. It is nil without Check.Upsert.
	NotUpdated map[string]int
	// WithoutPassword counts, among those who can be sent, the users with neither a
	// password nor a hash of one. For a database connection only an import job
	// takes them.
	WithoutPassword int
	// NeedJob and NeedUsers count, among those who can be sent, the users who can
	// be set by an import job only, or by a single call only.
	NeedJob, NeedUsers int
	// Bytes is the JSON of all users who can be sent, each with a separator.
	Bytes int64
	// Jobs is the number of import jobs that this JSON fills when users are
	// packed in their order; those with NeedsUsers are not among them.
	Jobs int
	// Largest is the largest user who can be sent, in bytes of JSON.
	Largest int
}

// Inspect reads a source to its end, sends nothing, and says what is in it. A
// source that can be read again is read twice when users may have something in
// common, so that duplicates are exact; from others, two different values are
// taken for one with a chance of about one in ten million for a million users.
// The context ends it early.
func Inspect(ctx context.Context, src *Source, o Check) (*Inspection, error) {
	if !o.Duplicates {
		return inspect(ctx, src, o, nil)
	}
	if !src.Again() {
		return inspect(ctx, src, o, hashed{newHashSet()})
	}
	first := &collected{set: newHashSet()}
	in, err := inspect(ctx, src, o, first)
	if err != nil || len(first.suspects) == 0 {
		return in, err
	}
	again, err := inspect(ctx, src, o, first.confirm())
	if err == nil && (again.SHA256 != in.SHA256 || again.Total != in.Total) {
		return nil, fmt.Errorf("%s changed while it was read; start again when nothing writes to it", src.Name())
	}
	return again, err
}

// inspect reads a source once.
func inspect(ctx context.Context, src *Source, o Check, dup duplicates) (*Inspection, error) {
	in := &Inspection{Name: src.Name(), ByRule: make(map[string]int), Dropped: make(map[string]int)}
	if o.Upsert {
		in.NotUpdated = make(map[string]int)
	}
	sum := sha256.New()
	full := maxUser + 1 // bytes in the job at hand, commas included
	for r, err := range src.records(o, dup, sum) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		in.Total++
		for _, name := range r.Dropped {
			if _, known := in.Dropped[name]; !known && len(in.Dropped) >= maxNames {
				name = "(others)"
			}
			in.Dropped[name]++
		}
		if len(r.Problems) > 0 {
			in.refuse(r)
			continue
		}
		in.count(r)
		if size := len(r.User) + 1; !r.NeedsUsers {
			if full += size; full > maxUser+1 {
				in.Jobs++
				full = size
			}
		}
	}
	in.Size, in.SHA256 = src.Position(), hex.EncodeToString(sum.Sum(nil))
	return in, nil
}

func (in *Inspection) refuse(r *Record) {
	in.Refused.Add(r.Number)
	for i, p := range r.Problems {
		if len(in.Problems) < maxProblems {
			in.Problems = append(in.Problems, p)
		}
		counted := false
		for _, before := range r.Problems[:i] {
			counted = counted || before.Rule == p.Rule
		}
		if !counted {
			in.ByRule[p.Rule]++
		}
	}
}

// count counts a user who can be sent.
func (in *Inspection) count(r *Record) {
	if r.NeedsJob {
		in.NeedJob++
	}
	if r.NeedsUsers {
		in.NeedUsers++
	}
	if !r.has.any(1<<fieldPassword | 1<<fieldPasswordHash | 1<<fieldCustomHash) {
		in.WithoutPassword++
	}
	in.Bytes += int64(len(r.User)) + 1
	in.Largest = max(in.Largest, len(r.User))
	if in.NotUpdated != nil && r.has.any(notUpserted) {
		for f := range fields {
			if notUpserted.has(f) && r.has.has(f) {
				in.NotUpdated[fields[f].name]++
			}
		}
	}
}
