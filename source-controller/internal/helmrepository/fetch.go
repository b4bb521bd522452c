package helmrepository

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/helm/access"
	"weir.dev/source-controller/internal/helm/index"
	"weir.dev/source-controller/internal/helm/remote"
	"weir.dev/source-controller/internal/source"
)

// linkName is the name under which the latest index can be had.
const linkName = "index.yaml"

// authenticate reads the URL and the Secrets.
func (r *Reconciler) authenticate(ctx context.Context, s *scope) error {
	if _, err := remote.Parse(s.repo.Spec.URL); err != nil {
		return loop.Stall(sourcev1.ReasonURLInvalid, err)
	}
	how, err := access.Reader{Secrets: r.secrets.For(s.repo)}.HTTP(ctx, s.repo)
	if err != nil {
		return loop.Fail(sourcev1.ReasonAuthenticationFailed, err)
	}
	if s.remote, err = r.wires.Repository(how); err != nil {
		return loop.Stall(sourcev1.ReasonURLInvalid, err)
	}
	return nil
}

// fetch asks for the index, and says by which marks it is known if it is.
func (r *Reconciler) fetch(ctx context.Context, s *scope) error {
	d := s.repo.GetTimeout()
	ctx, cancel := source.Within(ctx, d)
	defer cancel()
	var err error
	if s.answer, err = s.remote.Index(ctx, r.notes.validators(s.repo), r.limit); err != nil {
		reason := sourcev1.ReasonFailed
		if errors.Is(err, remote.ErrUnauthorized) || errors.Is(err, remote.ErrUntrusted) {
			reason = sourcev1.ReasonAuthenticationFailed
		}
		return loop.Fail(reason, fmt.Errorf("failed to fetch Helm repository index: %w", err))
	}
	if s.answer.Unchanged {
		s.revision = s.repo.Status.Artifact.Revision
		return nil
	}
	sum := sha256.Sum256(s.answer.Data)
	s.revision = "sha256:" + hex.EncodeToString(sum[:])
	return nil
}

// stopIfPublished ends the run if the index is the one that is advertised.
func (r *Reconciler) stopIfPublished(ctx context.Context, s *scope) error {
	a := s.repo.Status.Artifact
	if a == nil || a.Revision != s.revision {
		return nil
	}
	if err := r.link(s); err != nil {
		return err
	}
	if err := r.note(ctx, s); err != nil {
		return err
	}
	return loop.Done()
}

// parse reads the index.
func (r *Reconciler) parse(ctx context.Context, s *scope) error {
	if s.repo.Status.Artifact == nil && !source.Failing(s.repo) {
		source.MarkBuilding(s.repo, sourcev1.ReasonNewRevision, fmt.Sprintf("new index revision '%s'", s.revision))
		if err := r.save(ctx, s.repo); err != nil {
			return fmt.Errorf("saving progress: %w", err)
		}
	}
	var err error
	if s.index, err = index.Parse(s.answer.Data); err != nil {
		return loop.Fail(sourcev1.ReasonIndexationFailed, fmt.Errorf("failed to load Helm repository from index YAML: %w", err))
	}
	return nil
}

// publish writes the index as JSON and advertises it.
func (r *Reconciler) publish(_ context.Context, s *scope) error {
	_, hex, _ := strings.Cut(s.revision, ":")
	err := r.shelf.Put(s.repo, "index-"+hex+".yaml", s.revision, func(w io.Writer) error { return s.index.WriteJSON(w) })
	if err != nil {
		return err
	}
	s.did.Stored = fmt.Sprintf("stored fetched index of size %s from '%s'", humanSize(*s.repo.Status.Artifact.Size), remote.Redact(s.repo.Spec.URL))
	return r.link(s)
}

// link lets the constant name lead to what is advertised.
func (r *Reconciler) link(s *scope) error {
	u, err := r.shelf.Link(s.repo, linkName)
	if err != nil {
		return err
	}
	s.repo.Status.URL = u
	return nil
}

// note keeps what the server gave to recognise the index by.
func (r *Reconciler) note(ctx context.Context, s *scope) error {
	r.notes.keep(ctx, s.repo, s.answer.Validators)
	return nil
}

// humanSize writes a number of bytes as people do.
func humanSize(n int64) string {
	size, units := float64(n), []string{"B", "kB", "MB", "GB"}
	i := 0
	for ; size >= 1000 && i < len(units)-1; i++ {
		size /= 1000
	}
	return fmt.Sprintf("%.4g%s", size, units[i])
}
