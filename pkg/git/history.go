package git

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// History returns the snapshot of a target with all commits before it, so that it can be
// found out which of them made a file what it is. The remote is asked for what the store may
// lack. The limit for packs bounds what that may be.
func (s *Store) History(ctx context.Context, conn *Conn, t Target) (*Snapshot, error) {
	if err := checkBranch(ctx, conn, t); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.prepare()
	if err != nil {
		return nil, err
	}
	snapshot, err := g.history(ctx, conn, t)
	return snapshot, g.mark(err)
}

// history fetches a target with what is before it, and opens its snapshot.
func (g generation) history(ctx context.Context, conn *Conn, t Target) (*Snapshot, error) {
	st := g.storage()
	if _, err := st.Reference(fetchedRef(t.Commit)); err == nil && !conn.Refs.server.shallow {
		return g.open(st, t.Commit) // history and all: the server offers nothing else
	}
	req, err := request(st, conn.Refs, t)
	if err == nil {
		if !req.Depth.IsZero() {
			req.Depth = packp.DepthCommits(math.MaxInt32) // by which git knows that all is meant
		}
		err = g.receive(ctx, conn, st, req)
	}
	if err != nil {
		return nil, errors.Join(err, st.Close(), g.tidy())
	}
	snapshot, err := g.open(st, t.Commit)
	switch {
	case errors.Is(err, ErrNoRef):
		return nil, err
	case err != nil && t.Unadvertised && !conn.Refs.server.reachable:
		return nil, notOnBranch(t)
	case err != nil:
		return nil, fmt.Errorf("%w: it did not send commit %s", ErrProtocol, t.Commit)
	}
	return snapshot, nil
}
