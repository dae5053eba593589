package management

import (
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
)

// memo keeps what was found out about types, as that of package auth0 does. It is read without a lock, and
// copied for every type that is added; there are a few hundred at most. It is no
// sync.Map because the compiler makes that map's code anew in every package that
// uses a type with one in it.
type memo struct {
	known  atomic.Value // map[reflect.Type]any
	adding sync.Mutex
}

func (m *memo) load(t reflect.Type) (any, bool) {
	known, _ := m.known.Load().(map[reflect.Type]any)
	v, ok := known[t]
	return v, ok
}

func (m *memo) store(t reflect.Type, v any) {
	m.adding.Lock()
	defer m.adding.Unlock()
	known, _ := m.known.Load().(map[reflect.Type]any)
	more := make(map[reflect.Type]any, len(known)+1)
	maps.Copy(more, known)
	more[t] = v
	m.known.Store(more)
}
