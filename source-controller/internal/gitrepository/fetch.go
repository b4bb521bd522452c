package gitrepository

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitaccess"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/source"
)

// resolveRevision asks the remote which commit is meant. A commit that is named by
// its hash and published already cannot mean another, so nobody is asked.
func (r *Reconciler) resolveRevision(ctx context.Context, s *scope) error {
	ref := gitaccess.Reference(s.repo.Spec.Reference)
	if a := s.repo.Status.Artifact; ref.Commit != "" && a != nil {
		hash := plumbing.NewHash(ref.Commit)
		known := git.Target{Commit: hash, Want: hash, Label: ref.Branch}
		if snapshot, ok := s.objects.Has(hash); ok && known.Revision() == a.Revision {
			s.onClose(snapshot)
			s.targets, s.target = []git.Target{known}, known
			return nil
		}
	}
	ctx, cancel := r.timeout(ctx, s)
	defer cancel()
	conn, err := r.remotes.Dial(ctx, s.remote)
	if err != nil {
		return failed(err)
	}
	s.conn = conn
	if s.targets, err = ref.Resolve(conn.Refs); err != nil {
		return failed(err)
	}
	s.target = s.targets[0]
	for _, t := range s.targets {
		if a := s.repo.Status.Artifact; a != nil && a.Revision == t.Revision() {
			s.target = t
		}
	}
	return nil
}

// stopIfPublished ends the run if what is meant is what is advertised.
func (r *Reconciler) stopIfPublished(_ context.Context, s *scope) error {
	if len(s.targets) == 1 && published(s) && verified(s.repo) {
		r.useSubmodules(s.repo)
		return loop.Done()
	}
	return nil
}

// fetch brings the commit into the object store of the remote. Of several that
// have the same precedence, the newest is taken.
func (r *Reconciler) fetch(ctx context.Context, s *scope) error {
	if s.repo.Status.Artifact == nil && !source.Failing(s.repo) {
		// The first fetch of a repository may take long. While it fails, that is
		// what users have to see.
		source.MarkBuilding(s.repo, sourcev1.ReasonNewRevision, fmt.Sprintf("new upstream revision '%s'", s.target.Revision()))
		if err := r.save(ctx, s.repo); err != nil {
			return fmt.Errorf("saving progress: %w", err)
		}
	}
	ctx, cancel := r.timeout(ctx, s)
	defer cancel()
	for i, t := range s.targets {
		snapshot, err := r.snapshot(ctx, s, t, i > 0)
		if err != nil {
			return failed(err)
		}
		s.onClose(snapshot)
		if s.snapshot == nil || snapshot.Commit.Committer.When.After(s.snapshot.Commit.Committer.When) {
			s.snapshot, s.target = snapshot, t
		}
	}
	if len(s.targets) > 1 {
		return r.stopIfChosen(s)
	}
	return nil
}

// snapshot fetches one target. A connection gives one pack, so further targets
// need another.
func (r *Reconciler) snapshot(ctx context.Context, s *scope, t git.Target, again bool) (*git.Snapshot, error) {
	if snapshot, ok := s.objects.Has(t.Commit); ok {
		return snapshot, nil
	}
	if s.conn == nil || again {
		conn, err := r.remotes.Dial(ctx, s.remote)
		if err != nil {
			return nil, err
		}
		s.closeConn()
		s.conn = conn
	}
	return s.objects.Fetch(ctx, s.conn, t)
}

// stopIfChosen is stopIfPublished for what took a look at the commits to decide.
func (r *Reconciler) stopIfChosen(s *scope) error {
	s.targets = []git.Target{s.target}
	return r.stopIfPublished(context.Background(), s)
}

// timeout bounds one exchange with the remote.
func (r *Reconciler) timeout(ctx context.Context, s *scope) (context.Context, context.CancelFunc) {
	d := s.repo.GetTimeout()
	return source.Within(ctx, d)
}

// subject returns the beginning of the first line of a commit message.
func subject(message string) string {
	const most = 50
	line, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return line
}
