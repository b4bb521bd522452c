package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/fluxcd/pkg/sourceignore"

	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/bucket/mirror"
	"weir.dev/source-controller/internal/bucket/objects"
	"weir.dev/source-controller/internal/source"
)

// maxObjects is how many objects a listing may have that the spec does not leave out. An
// archive takes no more.
const maxObjects = 500_000

// list asks the storage for the objects of the bucket.
func (r *Reconciler) list(ctx context.Context, s *scope) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	spec := s.bucket.Spec
	leftOut := ruledOut(spec.Ignore)
	err := s.storage.List(ctx, spec.Prefix, func(o objects.Object) error {
		switch {
		case o.Key == sourceignore.IgnoreFile:
			s.ignore = &o
			return nil
		case strings.HasSuffix(o.Key, "/"), !strings.HasPrefix(o.Key, spec.Prefix), leftOut(o.Key):
			return nil
		case len(s.listed) >= maxObjects:
			return fmt.Errorf("%w: there are more than %d objects: set spec.prefix, or leave some out by spec.ignore", objects.ErrTooLarge, maxObjects)
		}
		s.listed = append(s.listed, o)
		return nil
	})
	if err != nil {
		return s.failed(fmt.Sprintf("indexation of objects from bucket '%s' failed", spec.BucketName), err)
	}
	return nil
}

// ruledOut tells the keys that the rules of the spec leave out. These come last, so
// that no rule of a file can bring such an object back.
func ruledOut(ignore *string) func(key string) bool {
	if ignore == nil {
		return func(string) bool { return false }
	}
	m := sourceignore.NewMatcher(sourceignore.ReadPatterns(strings.NewReader(*ignore), nil))
	return func(key string) bool { return m.Match(strings.Split(key, "/"), false) }
}

// readIgnoreFile reads the .sourceignore at the root of the bucket, which is downloaded
// if it was not before.
func (r *Reconciler) readIgnoreFile(ctx context.Context, s *scope) error {
	ctx, cancel := s.besides(ctx)
	defer cancel()
	err := s.findIgnoreFile(ctx)
	if err == nil && s.ignore != nil {
		err = s.fetchIgnoreFile(ctx)
	}
	if errors.Is(err, objects.ErrGone) {
		s.ignore = nil
		return nil
	}
	if err != nil {
		return s.failed(fmt.Sprintf("failed to get '%s' object from bucket '%s'", sourceignore.IgnoreFile, s.bucket.Spec.BucketName), err)
	}
	return nil
}

// findIgnoreFile looks for the file where the listing does not reach.
func (s *scope) findIgnoreFile(ctx context.Context) error {
	if strings.HasPrefix(sourceignore.IgnoreFile, s.bucket.Spec.Prefix) {
		return nil
	}
	o, err := s.storage.Stat(ctx, sourceignore.IgnoreFile)
	if err != nil {
		return err
	}
	o.Key = sourceignore.IgnoreFile
	s.ignore = &o
	return nil
}

func (s *scope) fetchIgnoreFile(ctx context.Context) error {
	if err := check(*s.ignore); err != nil {
		return err
	}
	if _, ok := s.folder.Size(s.name(*s.ignore)); !ok {
		got, err := s.fetch(ctx, *s.ignore, func(w io.Writer) (io.Writer, int64) { return w, source.MaxIgnoreFile })
		if err != nil {
			return err
		}
		s.ignore = &got
	}
	f, err := s.folder.Open(s.name(*s.ignore))
	if err != nil {
		return &mirror.DiskError{Err: err}
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, source.MaxIgnoreFile))
	if err != nil {
		return &mirror.DiskError{Err: err}
	}
	s.rules = []source.IgnoreFile{{Content: content}}
	return nil
}

// name is the one under which the content of an object is kept.
func (s *scope) name(o objects.Object) string { return mirror.Name(s.origin, o.Key, o.ETag) }

// choose decides which objects the artifact is made of.
func (r *Reconciler) choose(_ context.Context, s *scope) error {
	x, err := newIndex(s.listed, source.Ignored(s.rules, s.bucket.Spec.Ignore))
	if err != nil {
		return s.failed(fmt.Sprintf("indexation of objects from bucket '%s' failed", s.bucket.Spec.BucketName), err)
	}
	s.index, s.listed = x, nil
	return nil
}

// stopIfPublished ends the run if what is in the bucket is what is advertised.
func (r *Reconciler) stopIfPublished(ctx context.Context, s *scope) error {
	a := s.bucket.Status.Artifact
	if a == nil || a.Revision != s.index.revision() {
		return nil
	}
	s.bucket.Status.ObservedIgnore = s.bucket.Spec.Ignore // other rules, with the same result
	if err := r.link(ctx, s); err != nil {
		return err
	}
	return loop.Done()
}

// link lets a constant name lead to the artifact.
func (r *Reconciler) link(_ context.Context, s *scope) error {
	url, err := r.shelf.Link(s.bucket, "latest.tar.gz")
	if err != nil {
		return err
	}
	s.bucket.Status.URL = url
	return nil
}
