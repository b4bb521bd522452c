package artifact

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"weir.dev/pkg/artifact/archive"
)

// open finds an artifact and its archive: the layer of the right type, or else the first.
func (r *Registry) open(ctx context.Context, url string, limit int64) (Described, io.ReadCloser, error) {
	ref, err := r.reference(url)
	if err != nil {
		return Described{}, nil, err
	}
	s, err := r.session(ctx, ref.Context())
	if err != nil {
		return Described{}, nil, about("reading", ref, err)
	}
	found, err := s.Resolve(ctx, ref.Identifier())
	if err != nil {
		return Described{}, nil, about("reading", ref, err)
	}
	manifest, err := s.Image(ctx, found.Digest)
	if err != nil {
		return Described{}, nil, about("reading", ref, err)
	}
	known := describe(ref, found.Digest, manifest.Annotations)
	if len(manifest.Layers) == 0 {
		return known, nil, about("reading", ref, ErrContent)
	}
	chosen := max(0, slices.IndexFunc(manifest.Layers, func(d v1.Descriptor) bool { return d.MediaType == ContentType }))
	packed, err := s.Blob(ctx, manifest.Layers[chosen], cmp.Or(limit, archive.DefaultMaxSize))
	if err != nil {
		return known, nil, about("reading", ref, err)
	}
	return known, packed, nil
}

// Pull writes the files of an artifact into a folder that there is. Nothing outside of it is
// written, whatever the artifact says and whatever links the folder has.
func (r *Registry) Pull(ctx context.Context, url, folder string, limits archive.Limits) (Described, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return Described{}, err
	}
	defer root.Close()
	known, packed, err := r.open(ctx, url, limits.MaxSize)
	if err != nil {
		return known, err
	}
	defer packed.Close()
	err = archive.Read(packed, limits, func(e archive.Entry, content io.Reader) error { return extract(root, e, content) })
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
	here := make(sums)
	if err := content.give(here); err != nil {
		return nil, err
	}
	_, packed, err := r.open(ctx, url, content.Limits.MaxSize)
	if err != nil {
		return nil, err
	}
	defer packed.Close()
	there := make(sums)
	err = archive.Read(packed, content.Limits, func(e archive.Entry, file io.Reader) error {
		if e.Dir {
			return nil
		}
		return there.File(e.Path, e.Executable, e.Size, file)
	})
	if err != nil {
		return nil, fmt.Errorf("pulling %s: %w", url, err)
	}
	return compare(here, there), nil
}

// sums identify the content of files, by their paths.
type sums map[string]string

// File implements taker.
func (s sums) File(path string, executable bool, size int64, content io.Reader) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(content, size)); err != nil {
		return err
	}
	s[path] = fmt.Sprintf("%s %t", hex.EncodeToString(sum.Sum(nil)), executable)
	return nil
}

// compare returns the files that are not the same, by their paths.
func compare(here, there sums) []Difference {
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
