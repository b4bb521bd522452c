package git

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
	"weak"
)

// Stores keeps one Store for each remote, under one directory.
type Stores struct {
	dir   string
	packs int // how many a store may have; tests need not make that many

	mu sync.Mutex
	// open is who shares which store. Credentials come and go, and their stores
	// with them, so that none is held here.
	open map[string]weak.Pointer[Store]
}

// OpenStores returns the stores in dir, which is created if need be.
func OpenStores(dir string) (*Stores, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening git stores: %w", err)
	}
	return &Stores{dir: dir, packs: maxPacks, open: make(map[string]weak.Pointer[Store])}, nil
}

// For returns the store of a remote, and counts as a use of it. Remotes of one URL
// and the same credentials share it; nobody else does.
func (s *Stores) For(r *Remote) *Store {
	store := s.named(r.Key())
	store.touch()
	return store
}

func (s *Stores) named(key string) *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	if store := s.open[key].Value(); store != nil {
		return store
	}
	store := &Store{dir: filepath.Join(s.dir, key), packs: s.packs}
	s.open[key] = weak.Make(store)
	return store
}

// Sweep removes the stores that nobody has used since the given time. They are
// caches: the next fetch begins anew.
func (s *Stores) Sweep(unusedSince time.Time) (removed int, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		gone, sweepErr := s.named(e.Name()).removeUnused(unusedSince)
		if gone {
			removed++
		}
		err = errors.Join(err, sweepErr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, store := range s.open {
		if store.Value() == nil {
			delete(s.open, key)
		}
	}
	return removed, err
}
