package writeback

import "sync"

// memory is a bounded set of names. It forgets what was not used for long, half of it at a
// time. It is safe for concurrent use.
type memory struct {
	half int // how many names half of it has

	mu       sync.Mutex
	new, old map[string]struct{}
}

func newMemory(size int) *memory {
	return &memory{half: max(size/2, 1), new: make(map[string]struct{})}
}

// has reports whether a name is known, which counts as a use of it.
func (m *memory) has(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.new[name]; ok {
		return true
	}
	_, ok := m.old[name]
	if ok {
		m.put(name)
	}
	return ok
}

// add makes a name known.
func (m *memory) add(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(name)
}

// put needs the lock.
func (m *memory) put(name string) {
	if len(m.new) >= m.half {
		m.old, m.new = m.new, make(map[string]struct{})
	}
	m.new[name] = struct{}{}
}

// size is how many names there may be known, counted with those that are there twice.
func (m *memory) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.new) + len(m.old)
}
