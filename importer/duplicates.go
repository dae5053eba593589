package importer

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
)

// place is where a user stands in the input.
type place struct{ number, line int }

// duplicates tells which values were there before.
type duplicates interface {
	// find reports whether a field had the value before, and where when that is known.
	find(field int, value string) (place, bool)
	// add notes the value of a user who is not refused.
	add(field int, value string, at place)
}

// keyHash hashes a field's value. Addresses and user names are compared without
// regard to case, as Auth0 keeps them in lower case.
func keyHash(seed maphash.Seed, field int, value string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_ = h.WriteByte(byte(field))
	_, _ = h.WriteString(folded(field, value))
	return h.Sum64()
}

func folded(field int, value string) string {
	if field == fieldEmail || field == fieldUsername {
		return strings.ToLower(value)
	}
	return value
}

// hashSet is a set of hashes, 10 to 12.5 bytes for each. It is split so that no
// growth needs more than a small part of it twice.
type hashSet struct {
	seed     maphash.Seed
	segments [256]segment
}

type segment struct {
	slots []uint64 // 0 is free
	used  int
}

func newHashSet() *hashSet { return &hashSet{seed: maphash.MakeSeed()} }

// find returns the slot of a hash in its segment, or the free one where it belongs.
func (s *segment) find(h uint64) int {
	i, _ := bits.Mul64(h<<8, uint64(len(s.slots))) // the low bits: the high ones chose the segment
	for s.slots[i] != 0 && s.slots[i] != h {
		if i++; i == uint64(len(s.slots)) {
			i = 0
		}
	}
	return int(i)
}

func (s *hashSet) has(h uint64) bool {
	h = max(h, 1)
	g := &s.segments[h>>56]
	return g.used > 0 && g.slots[g.find(h)] == h
}

// add adds a hash and reports whether it was there.
func (s *hashSet) add(h uint64) bool {
	h = max(h, 1)
	g := &s.segments[h>>56]
	if (g.used+1)*5 > len(g.slots)*4 {
		g.grow()
	}
	i := g.find(h)
	if g.slots[i] == h {
		return true
	}
	g.slots[i] = h
	g.used++
	return false
}

func (s *segment) grow() {
	old := s.slots
	s.slots = make([]uint64, max(16, len(old)*5/4))
	for _, h := range old {
		if h != 0 {
			s.slots[s.find(h)] = h
		}
	}
}

// hashed takes two values with the same hash for the same value: for inputs that
// can be read once only.
type hashed struct{ set *hashSet }

func (d hashed) find(field int, value string) (place, bool) {
	return place{}, d.set.has(keyHash(d.set.seed, field, value))
}

func (d hashed) add(field int, value string, _ place) { d.set.add(keyHash(d.set.seed, field, value)) }

// collected finds none, and collects the hashes that were there more than once:
// those of all values that are, and of very few others.
type collected struct {
	set      *hashSet
	suspects []uint64
}

func (d *collected) find(int, string) (place, bool) { return place{}, false }

func (d *collected) add(field int, value string, _ place) {
	h := keyHash(d.set.seed, field, value)
	if !d.set.add(h) {
		return
	}
	if len(d.suspects) == cap(d.suspects) { // a value that is there often is kept once
		d.compact()
	}
	d.suspects = append(d.suspects, h)
}

func (d *collected) compact() {
	slices.Sort(d.suspects)
	d.suspects = slices.Compact(d.suspects)
}

// exact tells apart the values whose hashes are suspect by a second hash that is
// independent of the first: 128 bits in all.
type exact struct {
	seed, second maphash.Seed
	suspects     []suspect // sorted by hash, each once
	more         map[suspect]place
}

// suspect is a hash that more than one value had, and the first of them: its
// second hash and where it was, number 0 as long as it was not there.
type suspect struct {
	hash, second uint64
	number, line uint32
}

// confirm returns what tells suspects apart in a second read. The set is given up.
func (d *collected) confirm() *exact {
	e := &exact{seed: d.set.seed, second: maphash.MakeSeed()}
	d.set = nil
	d.compact()
	e.suspects = make([]suspect, len(d.suspects))
	for i, h := range d.suspects {
		e.suspects[i].hash = h
	}
	d.suspects = nil
	return e
}

// lookup returns the suspect of a value, nil for none, and the value's second hash.
func (d *exact) lookup(field int, value string) (*suspect, uint64) {
	i, found := slices.BinarySearchFunc(d.suspects, keyHash(d.seed, field, value), func(s suspect, h uint64) int { return cmp.Compare(s.hash, h) })
	if !found {
		return nil, 0
	}
	return &d.suspects[i], keyHash(d.second, field, value)
}

func (d *exact) find(field int, value string) (place, bool) {
	s, second := d.lookup(field, value)
	switch {
	case s == nil || s.number == 0:
		return place{}, false
	case s.second == second:
		return place{int(s.number), int(s.line)}, true
	}
	at, found := d.more[suspect{hash: s.hash, second: second}]
	return at, found
}

func (d *exact) add(field int, value string, at place) {
	s, second := d.lookup(field, value)
	switch {
	case s == nil:
	case s.number == 0:
		s.second, s.number, s.line = second, uint32(at.number), uint32(at.line)
	default: // two values with one hash
		if d.more == nil {
			d.more = make(map[suspect]place)
		}
		d.more[suspect{hash: s.hash, second: second}] = at
	}
}
