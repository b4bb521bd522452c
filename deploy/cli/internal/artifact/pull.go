package artifact

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"weir.dev/pkg/artifact/archive"
)

const (
	// maxTags is how many tags of a repository are listed.
	maxTags = 10_000
	// atOnce is how many artifacts are asked for at the same time.
	atOnce = 8
)

// ErrTooManyTags is returned for a repository with more tags than are listed.
var ErrTooManyTags = fmt.Errorf("the repository has more than %d tags", maxTags)

// open finds an artifact and the layer that has its files: the one of the right type, or else
// the first.
func (r *Registry) open(ctx context.Context, url string) (Described, v1.Layer, error) {
	ref, err := r.reference(url)
	if err != nil {
		return Described{}, nil, err
	}
	img, err := remote.Image(ref, r.options(ctx)...)
	if err != nil {
		return Described{}, nil, explain("reading", ref, err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		return Described{}, nil, explain("reading", ref, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return Described{}, nil, explain("reading", ref, err)
	}
	known := describe(ref, digest, manifest.Annotations)
	if len(manifest.Layers) == 0 {
		return known, nil, fmt.Errorf("%s: %w", url, ErrContent)
	}
	chosen := max(0, slices.IndexFunc(manifest.Layers, func(d v1.Descriptor) bool { return d.MediaType == ContentType }))
	// Not by the image, which reads a configuration of any size first.
	layer, err := remote.Layer(ref.Context().Digest(manifest.Layers[chosen].Digest.String()), r.options(ctx)...)
	if err != nil {
		return known, nil, explain("reading", ref, err)
	}
	return known, layer, nil
}

// read gives take the files of a layer.
func read(layer v1.Layer, limits archive.Limits, take func(archive.Entry, io.Reader) error) (err error) {
	packed, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, packed.Close()) }()
	return archive.Read(packed, limits, take)
}

// Pull writes the files of an artifact into a folder that there is. Nothing outside of it is
// written, whatever the artifact says and whatever links the folder has.
func (r *Registry) Pull(ctx context.Context, url, folder string, limits archive.Limits) (Described, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return Described{}, err
	}
	defer root.Close()
	known, layer, err := r.open(ctx, url)
	if err != nil {
		return known, err
	}
	err = read(layer, limits, func(e archive.Entry, content io.Reader) error { return extract(root, e, content) })
	if err != nil {
		return known, fmt.Errorf("pulling %s: %w", url, err)
	}
	return known, nil
}

// extract writes an entry below a folder.
func extract(root *os.Root, e archive.Entry, content io.Reader) error {
	const folderMode, fileMode, programMode = 0o755, 0o644, 0o755
	at := filepath.FromSlash(e.Path)
	if e.Dir {
		return root.MkdirAll(at, folderMode)
	}
	if dir := path.Dir(e.Path); dir != "." {
		if err := root.MkdirAll(filepath.FromSlash(dir), folderMode); err != nil {
			return err
		}
	}
	mode := os.FileMode(fileMode)
	if e.Executable {
		mode = programMode
	}
	out, err := root.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	return errors.Join(err, out.Close())
}

// Difference is a file of which two artifacts have not the same.
type Difference struct {
	Path string
	// Here and There say where the file is: in both, if it has been changed.
	Here, There bool
}

// Diff compares content with an artifact, and returns the files that are not the same in both.
func (r *Registry) Diff(ctx context.Context, url string, content Content) ([]Difference, error) {
	_, layer, err := r.open(ctx, url)
	if err != nil {
		return nil, err
	}
	there, err := sums(func(take func(archive.Entry, io.Reader) error) error { return read(layer, content.Limits, take) })
	if err != nil {
		return nil, fmt.Errorf("pulling %s: %w", url, err)
	}
	packed, err := os.CreateTemp("", "weir-artifact-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = errors.Join(packed.Close(), os.Remove(packed.Name())) }() // it is in a folder for such
	if err := Build(packed, content); err != nil {
		return nil, err
	}
	if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	here, err := sums(func(take func(archive.Entry, io.Reader) error) error {
		return archive.Read(packed, content.Limits, take)
	})
	if err != nil {
		return nil, err
	}
	return compare(here, there), nil
}

// sums returns what identifies each file of an archive.
func sums(each func(take func(archive.Entry, io.Reader) error) error) (map[string]string, error) {
	out := make(map[string]string)
	return out, each(func(e archive.Entry, content io.Reader) error {
		if e.Dir {
			return nil
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, content); err != nil {
			return err
		}
		out[e.Path] = fmt.Sprintf("%x %t", sum.Sum(nil), e.Executable)
		return nil
	})
}

// compare returns the files that are not the same, by their paths.
func compare(here, there map[string]string) []Difference {
	var out []Difference
	for path, sum := range here {
		if other, both := there[path]; !both || other != sum {
			out = append(out, Difference{Path: path, Here: true, There: both})
		}
	}
	for path := range there {
		if _, both := here[path]; !both {
			out = append(out, Difference{Path: path, There: true})
		}
	}
	slices.SortFunc(out, func(a, b Difference) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// Filter says which tags are listed. Those of a range of versions come with the highest first.
type Filter struct {
	SemVer string
	Regexp string
}

// List describes the artifacts of a repository that have a tag.
func (r *Registry) List(ctx context.Context, url string, filter Filter) ([]Described, error) {
	repo, err := r.repository(url)
	if err != nil {
		return nil, err
	}
	tags, err := r.tags(ctx, repo)
	if err != nil {
		return nil, err
	}
	if tags, err = filter.choose(tags); err != nil {
		return nil, err
	}
	out := make([]Described, len(tags))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, tag := range tags {
		g.Go(func() error {
			var err error
			out[i], err = r.look(ctx, repo.Tag(tag))
			return err
		})
	}
	return out, g.Wait()
}

// tags lists the tags of a repository.
func (r *Registry) tags(ctx context.Context, repo name.Repository) ([]string, error) {
	puller, err := remote.NewPuller(r.options(ctx)...)
	if err != nil {
		return nil, err
	}
	lister, err := puller.Lister(ctx, repo)
	if err != nil {
		return nil, explain("listing", repo, err)
	}
	var all []string
	for lister.HasNext() {
		page, err := lister.Next(ctx)
		if err != nil {
			return nil, explain("listing", repo, err)
		}
		if all = append(all, page.Tags...); len(all) > maxTags {
			return nil, fmt.Errorf("listing %s%s: %w", Scheme, repo, ErrTooManyTags)
		}
	}
	slices.Sort(all)
	return all, nil
}

// look describes an artifact by its manifest.
func (r *Registry) look(ctx context.Context, tag name.Tag) (Described, error) {
	found, err := remote.Get(tag, r.options(ctx)...)
	if err != nil {
		return Described{}, explain("reading", tag, err)
	}
	var annotations map[string]string
	if manifest, err := v1.ParseManifest(bytes.NewReader(found.Manifest)); err == nil {
		annotations = manifest.Annotations // what is no image has none that we know
	}
	return describe(tag, found.Digest, annotations), nil
}

// choose returns the tags that are asked for.
func (f Filter) choose(tags []string) ([]string, error) {
	if f.Regexp != "" {
		want, err := regexp.Compile(f.Regexp)
		if err != nil {
			return nil, err
		}
		tags = slices.DeleteFunc(tags, func(tag string) bool { return !want.MatchString(tag) })
	}
	if f.SemVer == "" {
		return tags, nil
	}
	within, err := semver.NewConstraint(f.SemVer)
	if err != nil {
		return nil, fmt.Errorf("%q is no range of versions: %w", f.SemVer, err)
	}
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
	return tags, nil
}
