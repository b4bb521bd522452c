package buckettest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// memory is the content of a bucket.
type memory struct {
	mu      sync.Mutex
	objects map[string]stored
	version int
	page    int // objects of a page of a listing
}

type stored struct {
	content  string
	version  int
	encoding string
}

func (s stored) etag() string { return fmt.Sprintf("etag%d", s.version) }

func newMemory() *memory { return &memory{objects: make(map[string]stored), page: 1000} }

// Put puts an object.
func (m *memory) Put(key, content string) { m.put(key, stored{content: content}) }

// PutEncoded puts an object that says how it is encoded.
func (m *memory) PutEncoded(key, content, encoding string) {
	m.put(key, stored{content: content, encoding: encoding})
}

func (m *memory) put(key string, o stored) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.version++
	o.version = m.version
	m.objects[key] = o
}

// Delete deletes an object.
func (m *memory) Delete(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
}

// PageSize sets how many objects a page of a listing has.
func (m *memory) PageSize(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.page = n
}

func (m *memory) get(key string) (stored, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	return o, ok
}

// list returns the keys of a page that begins after a key, and the token of the next
// page.
func (m *memory) list(prefix, after string) (keys []string, next string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		if key <= after || !strings.HasPrefix(key, prefix) {
			continue
		}
		if len(keys) == m.page {
			return keys, keys[len(keys)-1]
		}
		keys = append(keys, key)
	}
	return keys, ""
}
