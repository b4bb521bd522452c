package git

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Keep takes a draft that was pushed into the store, so that the next fetch of its commit
// needs no pack. Without it, nothing is lost but that. A store that does not have the
// parent, as it was begun anew meanwhile, does without.
func (s *Store) Keep(d *Draft) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.prepare()
	if err != nil {
		return err
	}
	if err := g.keepDraft(d); err != nil {
		return g.mark(fmt.Errorf("keeping commit %s: %w", d.Hash, err))
	}
	return nil
}

func (g generation) keepDraft(d *Draft) error {
	st := g.storage()
	defer func() { _ = st.Close() }() // what is written is on disk
	if _, err := st.Reference(fetchedRef(d.Parent)); err != nil {
		return nil
	}
	if _, err := st.Reference(fetchedRef(d.Hash)); err == nil {
		return nil
	}
	shallows, err := st.Shallow()
	if err != nil {
		return fmt.Errorf("reading shallow commits: %w: %w", ErrDamaged, err)
	}
	var pack bytes.Buffer
	if err := writePieces(&pack, d.objects, false); err != nil {
		return err
	}
	if err := g.storePack(st, &pack, d.largest()); err != nil {
		return err
	}
	// Of a parent without its history, the commit has no history either: it is as if it
	// had been fetched that way.
	if slices.Contains(shallows, d.Parent) {
		if err := g.writeShallow(append(shallows, d.Hash)); err != nil {
			return err
		}
	}
	return g.write(fetched+d.Hash.String(), d.Hash.String()+"\n")
}

// largest returns the size of the largest object.
func (d *Draft) largest() int64 {
	most := 0
	for _, p := range d.objects {
		most = max(most, len(p.content))
	}
	return int64(most)
}

// writeShallow records which commits are here without their history.
func (g generation) writeShallow(shallows []plumbing.Hash) error {
	slices.SortFunc(shallows, func(a, b plumbing.Hash) int { return slices.Compare(a[:], b[:]) })
	var lines strings.Builder
	for _, h := range slices.Compact(shallows) {
		lines.WriteString(h.String() + "\n")
	}
	if err := g.write("shallow", lines.String()); err != nil {
		return fmt.Errorf("recording shallow commits: %w", err)
	}
	return nil
}
