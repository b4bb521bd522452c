package gitrepository

import (
	"context"
	"fmt"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/git"
)

const (
	// maxSubmoduleDepth bounds how deep submodules are nested.
	maxSubmoduleDepth = 10
	// maxSubmodules bounds how many there are altogether.
	maxSubmodules = 512
)

// addSubmodules fetches the submodules of the commit, and theirs, and adds their files
// below their paths. The commit names those of its submodules, so that they are asked for
// only when it is another.
func (r *Reconciler) addSubmodules(ctx context.Context, s *scope) error {
	if !s.repo.Spec.RecurseSubmodules {
		return nil
	}
	ctx, cancel := r.timeout(ctx, s)
	defer cancel()
	entries := make([]git.Entry, len(s.files))
	for i, f := range s.files {
		entries[i] = f.Entry
	}
	c := &submodules{r: r, s: s}
	if err := c.add(ctx, module{remote: s.remote, snapshot: s.snapshot, entries: entries}); err != nil {
		return failed(err)
	}
	r.modules.Store(s.repo.UID, c.remotes)
	return nil
}

// useSubmodules counts a run that asks for no submodule as a use of what was fetched of
// them, so that the next commit does not need all of it again.
func (r *Reconciler) useSubmodules(repo *sourcev1.GitRepository) {
	remotes, _ := r.modules.Load(repo.UID)
	known, _ := remotes.([]*git.Remote)
	for _, remote := range known {
		r.stores.For(remote)
	}
}

// submodules collects the submodules of one commit.
type submodules struct {
	r       *Reconciler
	s       *scope
	remotes []*git.Remote // of those that were added
}

// module is a repository with its place in the artifact.
type module struct {
	remote   *git.Remote
	snapshot *git.Snapshot
	entries  []git.Entry // relative to its own root
	at       string      // its folder; empty for the repository itself
	depth    int
}

// add adds the submodules of m.
func (c *submodules) add(ctx context.Context, m module) error {
	found, err := m.snapshot.Submodules(m.entries)
	if err != nil {
		return fmt.Errorf("submodules of %s: %w", m.remote, err)
	}
	for _, sub := range found {
		at := git.Entry{Path: sub.Path}.Within(m.at).Path
		switch {
		case m.depth == maxSubmoduleDepth:
			return fmt.Errorf("submodule %q: %w: there are more than %d of them in each other", at, git.ErrTooDeep, maxSubmoduleDepth)
		case len(c.remotes) == maxSubmodules:
			return fmt.Errorf("%w: there are more than %d submodules", git.ErrTooLarge, maxSubmodules)
		}
		next, err := c.fetch(ctx, m.remote, sub)
		if err != nil {
			return fmt.Errorf("submodule %q: %w", at, err)
		}
		c.remotes = append(c.remotes, next.remote)
		next.at, next.depth = at, m.depth+1
		if err := c.take(next); err != nil {
			return err
		}
		if err := c.add(ctx, next); err != nil {
			return err
		}
	}
	return nil
}

// fetch brings the commit of a submodule into the object store of its remote.
func (c *submodules) fetch(ctx context.Context, parent *git.Remote, sub git.Submodule) (module, error) {
	remote, err := parent.Submodule(sub.URL)
	if err != nil {
		return module{}, err
	}
	snapshot, err := c.snapshot(ctx, remote, sub)
	if err != nil {
		return module{}, fmt.Errorf("commit %s of %s: %w", sub.Commit, remote, err)
	}
	c.s.onClose(snapshot)
	entries, err := snapshot.Entries()
	if err != nil {
		return module{}, err
	}
	return module{remote: remote, snapshot: snapshot, entries: entries}, nil
}

func (c *submodules) snapshot(ctx context.Context, remote *git.Remote, sub git.Submodule) (*git.Snapshot, error) {
	objects := c.r.stores.For(remote)
	if snapshot, ok := objects.Has(sub.Commit); ok {
		return snapshot, nil
	}
	conn, err := c.r.remotes.Dial(ctx, remote)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // it was only read
	targets, err := git.Reference{Commit: sub.Commit.String()}.Resolve(conn.Refs)
	if err != nil {
		return nil, err
	}
	return objects.Fetch(ctx, conn, targets[0])
}

// take adds the files of a submodule to those of the artifact.
func (c *submodules) take(m module) error {
	if len(c.s.files)+len(m.entries) > maxFiles {
		return fmt.Errorf("%w: with its submodules, the repository has more than %d files and folders", git.ErrTooLarge, maxFiles)
	}
	for _, e := range m.entries {
		c.s.files = append(c.s.files, file{Entry: e.Within(m.at), from: m.snapshot})
	}
	return nil
}
