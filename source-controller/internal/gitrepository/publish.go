package gitrepository

import (
	"context"
	"errors"
	"fmt"
	"io"

	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/git"
)

// publish writes the archive of the snapshot, straight from its tree, and
// advertises it.
func (r *Reconciler) publish(_ context.Context, s *scope) error {
	entries, err := kept(s.snapshot, s.repo.Spec.Ignore)
	if err != nil {
		return err
	}
	err = r.shelf.Put(s.repo, s.target.Commit.String()+".tar.gz", s.target.Revision(), func(w io.Writer) error {
		return pack(w, s.snapshot, entries)
	})
	if err != nil {
		return err
	}
	s.repo.Status.ObservedIgnore = s.repo.Spec.Ignore
	s.did.Stored = fmt.Sprintf("stored artifact for commit '%s'", subject(s.snapshot.Commit.Message))
	return nil
}

// pack writes entries as an archive.
func pack(w io.Writer, snapshot *git.Snapshot, entries []git.Entry) error {
	a := archive.NewWriter(w, archive.Limits{MaxSize: -1}) // the store has the limit
	for _, e := range entries {
		if err := packEntry(a, snapshot, e); err != nil {
			return err
		}
	}
	return a.Close()
}

func packEntry(a *archive.Writer, snapshot *git.Snapshot, e git.Entry) error {
	if e.Dir {
		return a.Dir(e.Path)
	}
	content, size, err := snapshot.Open(e)
	if err != nil {
		return err
	}
	return errors.Join(a.File(e.Path, e.Executable, size, content), content.Close())
}
