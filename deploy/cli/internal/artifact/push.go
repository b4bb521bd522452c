package artifact

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Metadata says where the content of an artifact is from.
type Metadata struct {
	Source      string
	Revision    string
	Created     time.Time
	Annotations map[string]string
}

// all returns the annotations of an artifact. Those that are asked for win.
func (m Metadata) all() map[string]string {
	out := map[string]string{AnnotationCreated: m.Created.UTC().Format(time.RFC3339), AnnotationSource: m.Source, AnnotationRevision: m.Revision}
	maps.Copy(out, m.Annotations)
	return out
}

// Push makes an artifact of content and puts it where the URL says, which has a tag or is for
// the tag latest.
func (r *Registry) Push(ctx context.Context, url string, content Content, m Metadata) (Described, error) {
	ref, err := r.reference(url)
	if err != nil {
		return Described{}, err
	}
	if _, ok := ref.(name.Tag); !ok {
		return Described{}, fmt.Errorf("%w: %q is for a digest, and that of what is pushed is not known yet: use a tag", ErrURL, url)
	}
	packed, err := os.CreateTemp("", "weir-artifact-")
	if err != nil {
		return Described{}, err
	}
	defer func() { _ = os.Remove(packed.Name()) }() // it is in a folder for such
	if err := errors.Join(Build(packed, content), packed.Close()); err != nil {
		return Described{}, err
	}
	img, err := image(packed.Name(), m)
	if err != nil {
		return Described{}, err
	}
	digest, err := img.Digest()
	if err != nil {
		return Described{}, err
	}
	options, err := r.writing(ctx, ref.Context())
	if err != nil {
		return Described{}, err
	}
	if err := remote.Write(ref, img, options...); err != nil {
		return Described{}, explain("pushing", ref, err)
	}
	return describe(ref, digest, m.all()), nil
}

// image is the artifact of an archive.
func image(archive string, m Metadata) (v1.Image, error) {
	layer, err := tarball.LayerFromFile(archive, tarball.WithMediaType(ContentType))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), ConfigType)
	if img, err = mutate.CreatedAt(img, v1.Time{Time: m.Created.UTC().Truncate(time.Second)}); err != nil {
		return nil, err
	}
	if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, MediaType: ContentType}); err != nil {
		return nil, err
	}
	annotated, ok := mutate.Annotations(img, m.all()).(v1.Image)
	if !ok {
		return nil, errors.New("annotations make something else of an image")
	}
	return annotated, nil
}

// Tag gives an artifact more tags.
func (r *Registry) Tag(ctx context.Context, url string, tags []string) (Described, error) {
	ref, err := r.reference(url)
	if err != nil {
		return Described{}, err
	}
	var all []name.Tag
	for _, text := range tags {
		tag, err := name.NewTag(ref.Context().Name()+":"+text, r.names()...)
		if err != nil {
			return Described{}, fmt.Errorf("%w: %q is no tag", ErrURL, text)
		}
		all = append(all, tag)
	}
	options, err := r.writing(ctx, ref.Context())
	if err != nil {
		return Described{}, err
	}
	pusher, err := remote.NewPusher(options...)
	if err != nil {
		return Described{}, err
	}
	found, err := remote.Get(ref, options...)
	if err != nil {
		return Described{}, explain("reading", ref, err)
	}
	for _, tag := range all {
		if err := pusher.Put(ctx, tag, found); err != nil {
			return Described{}, explain("tagging", tag, err)
		}
	}
	return describe(ref, found.Digest, nil), nil
}
