package gitrepository

import (
	"context"
	"fmt"
	"io"
	"slices"

	"k8s.io/utils/ptr"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact"
	"weir.dev/pkg/git"
	"weir.dev/pkg/loop"
)

// maxFiles bounds the files and folders of one artifact, wherever they are from.
const maxFiles = 1 << 20

// origin is where the content of files is: a snapshot, or what was included.
type origin interface {
	Size(e git.Entry) (int64, error)
	Open(e git.Entry) (io.ReadCloser, int64, error)
}

// file is a file or folder of the artifact.
type file struct {
	git.Entry
	from  origin
	named string // names the content, if the Entry does not
}

// content names what a file holds: two files of which it is the same have the same
// bytes.
func (f file) content() string {
	if f.named != "" {
		return f.named
	}
	return f.Content()
}

func (f file) open() (io.ReadCloser, int64, error) { return f.from.Open(f.Entry) }

// list lists what the repository itself has for the artifact.
func (r *Reconciler) list(_ context.Context, s *scope) error {
	entries, err := s.entries()
	if err != nil {
		return err
	}
	s.files = make([]file, len(entries))
	for i, e := range entries {
		s.files[i] = file{Entry: e, from: s.snapshot}
	}
	return nil
}

// entries are the files and folders of the commit that are wanted.
func (s *scope) entries() ([]git.Entry, error) {
	if folders := s.repo.Spec.SparseCheckout; len(folders) > 0 {
		return sparse(s.snapshot, folders)
	}
	entries, err := s.snapshot.Entries()
	if err != nil {
		return nil, loop.Fail(sourcev1.ReasonGitOperationFailed, fmt.Errorf("reading the tree of commit %s: %w", s.snapshot.Commit.Hash, err))
	}
	return entries, nil
}

// published reports whether what is advertised has the revision that is meant, and was
// made as the spec asks.
func published(s *scope) bool {
	a, spec, status := s.repo.Status.Artifact, s.repo.Spec, s.repo.Status
	return a != nil && artifact.SameRevision(a.Revision, s.target.Revision()) &&
		ptr.Equal(spec.Ignore, status.ObservedIgnore) &&
		spec.RecurseSubmodules == status.ObservedRecurseSubmodules &&
		slices.Equal(spec.SparseCheckout, status.ObservedSparseCheckout) &&
		!includesChanged(s.repo, s.includes)
}

// stopIfVerified ends a run that was to verify what is published already.
func (r *Reconciler) stopIfVerified(_ context.Context, s *scope) error {
	if !published(s) {
		return nil
	}
	observeVerification(s)
	return loop.Done()
}

// observe records how the artifact was made, in order that it is made anew when it should
// be made otherwise.
func observe(s *scope) {
	spec, status := s.repo.Spec, &s.repo.Status
	status.ObservedIgnore = spec.Ignore
	status.ObservedRecurseSubmodules = spec.RecurseSubmodules
	status.ObservedSparseCheckout = spec.SparseCheckout
	status.ObservedInclude = spec.Include
	status.IncludedArtifacts = observed(s.includes)
	observeVerification(s)
}

// observeVerification records what of the artifact was found signed.
func observeVerification(s *scope) {
	s.repo.Status.SourceVerificationMode = nil
	if s.verified != "" {
		s.repo.Status.SourceVerificationMode = &s.verified
	}
}
