package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"weir.dev/pkg/oci"
)

const (
	// maxTags is how many tags of a repository are listed.
	maxTags = 10_000
	// atOnce is how many artifacts are asked for at the same time.
	atOnce = 8
)

// ErrFilter is returned for a filter that nothing could be found by.
var ErrFilter = errors.New("the filter has an error")

// Filter says which tags are listed. Those of a range of versions come with the highest first.
type Filter struct {
	SemVer string
	Regexp string
}

// List describes the artifacts of a repository that have a tag. Each is read once, however
// many tags it has.
func (r *Registry) List(ctx context.Context, url string, filter Filter) ([]Described, error) {
	repo, err := r.repository(url)
	if err != nil {
		return nil, err
	}
	choose, err := filter.compile()
	if err != nil {
		return nil, err
	}
	s, err := r.session(ctx, repo)
	if err != nil {
		return nil, about("listing", repo, err)
	}
	tags, err := s.Tags(ctx)
	if err != nil {
		return nil, about("listing", repo, err)
	}
	tags = choose(tags)
	digests, err := each(ctx, tags, func(ctx context.Context, tag string) (v1.Hash, error) {
		found, err := s.Resolve(ctx, tag)
		if err != nil {
			return v1.Hash{}, about("reading", repo.Tag(tag), err)
		}
		return found.Digest, nil
	})
	if err != nil {
		return nil, err
	}
	return describeAll(ctx, s, repo, tags, digests)
}

// describeAll describes the artifacts of digests, which have tags.
func describeAll(ctx context.Context, s *oci.Session, repo name.Repository, tags []string, digests []v1.Hash) ([]Described, error) {
	distinct := slices.Compact(slices.SortedFunc(slices.Values(digests), func(a, b v1.Hash) int { return bytes.Compare([]byte(a.Hex), []byte(b.Hex)) }))
	noted, err := each(ctx, distinct, func(ctx context.Context, digest v1.Hash) (map[string]string, error) {
		m, err := s.Manifest(ctx, digest)
		if err != nil {
			return nil, about("reading", repo.Digest(digest.String()), err)
		}
		if manifest, err := v1.ParseManifest(bytes.NewReader(m.Raw)); err == nil {
			return manifest.Annotations, nil
		}
		return nil, nil // what is no manifest has none that we know
	})
	if err != nil {
		return nil, err
	}
	annotations := make(map[v1.Hash]map[string]string)
	for i, digest := range distinct {
		annotations[digest] = noted[i]
	}
	out := make([]Described, len(tags))
	for i, tag := range tags {
		out[i] = describe(repo.Tag(tag), digests[i], annotations[digests[i]])
	}
	return out, nil
}

// each does something for all of a list, some at the same time, and returns what came of it.
func each[A, B any](ctx context.Context, all []A, do func(context.Context, A) (B, error)) ([]B, error) {
	out := make([]B, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, a := range all {
		g.Go(func() (err error) {
			out[i], err = do(ctx, a)
			return err
		})
	}
	return out, g.Wait()
}

// compile returns what chooses and sorts the tags that are asked for.
func (f Filter) compile() (func([]string) []string, error) {
	want, err := regexp.Compile(f.Regexp)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is no regular expression: %w", ErrFilter, f.Regexp, err)
	}
	matching := func(tags []string) []string {
		slices.Sort(tags)
		return slices.DeleteFunc(tags, func(tag string) bool { return !want.MatchString(tag) })
	}
	if f.SemVer == "" {
		return matching, nil
	}
	within, err := semver.NewConstraint(f.SemVer)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is no range of versions: %w", ErrFilter, f.SemVer, err)
	}
	return func(tags []string) []string { return highestFirst(matching(tags), within) }, nil
}

// highestFirst returns the tags that are versions in a range, the highest first.
func highestFirst(tags []string, within *semver.Constraints) []string {
	versions := make(map[string]*semver.Version)
	tags = slices.DeleteFunc(tags, func(tag string) bool {
		v, err := semver.NewVersion(tag)
		if err != nil || !within.Check(v) {
			return true
		}
		versions[tag] = v
		return false
	})
	slices.SortStableFunc(tags, func(a, b string) int { return versions[b].Compare(versions[a]) })
	return tags
}
