// Package image makes container images of static programs.
package image

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// User runs the program: its id, and that of its group.
	User = "65532:65532"
	// Programs is the folder of the program.
	Programs = "/usr/local/bin/"
	// CertificatesFile is where programs look for the certificates of authorities.
	CertificatesFile = "/etc/ssl/certs/ca-certificates.crt"

	annotationName  = "org.opencontainers.image.ref.name"
	annotationTitle = "org.opencontainers.image.title"
)

// Options say what an image is made of.
type Options struct {
	Name        string   // of the program, and of the image
	Version     string   // its tag
	Folders     []string // that have the program, each for another architecture
	Authorities []byte   // certificates in PEM
}

// Image is an image for one architecture or several.
type Image struct {
	Name, Version string
	Index         v1.ImageIndex
}

// Build makes an image.
func Build(o Options) (Image, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var built []string
	for _, folder := range o.Folders {
		path := filepath.Join(folder, o.Name)
		architecture, err := architectureOf(path)
		if err != nil {
			return Image{}, err
		}
		if slices.Contains(built, architecture) {
			return Image{}, fmt.Errorf("%s is for %s, as that of another folder is", path, architecture)
		}
		built = append(built, architecture)
		one, err := buildOne(o, path, architecture)
		if err != nil {
			return Image{}, fmt.Errorf("making an image of %s: %w", path, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: architecture},
		}})
	}
	return Image{Name: o.Name, Version: o.Version, Index: index}, nil
}

// buildOne makes the image of one architecture.
func buildOne(o Options, path, architecture string) (v1.Image, error) {
	base, err := baseLayer(o.Authorities)
	if err != nil {
		return nil, err
	}
	program, err := programLayer(path, Programs[1:]+o.Name)
	if err != nil {
		return nil, err
	}
	out := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	out, err = mutate.AppendLayers(out, base, program)
	if err != nil {
		return nil, err
	}
	cfg, err := out.ConfigFile()
	if err != nil {
		return nil, err
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture = "linux", architecture
	cfg.Config = v1.Config{
		User: User, WorkingDir: "/", Entrypoint: []string{Programs + o.Name},
		Env: []string{"PATH=" + Programs[:len(Programs)-1], "HOME=/tmp"},
		Labels: map[string]string{
			annotationTitle:                     o.Name,
			"org.opencontainers.image.version":  o.Version,
			"org.opencontainers.image.vendor":   "weir",
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return mutate.ConfigFile(out, cfg)
}

// architectures are those that images are made for, by what a program says.
var architectures = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}

// architectureOf returns what a program runs on, and refuses one that needs more than
// itself.
func architectureOf(path string) (string, error) {
	f, err := elf.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: run `make build` first", err)
	}
	if err != nil {
		return "", fmt.Errorf("%s is no program for Linux: %w", path, err)
	}
	defer func() { _ = f.Close() }() // it is only read
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s is not linked statically: build it with CGO_ENABLED=0", path)
		}
	}
	architecture, ok := architectures[f.Machine]
	if !ok {
		return "", fmt.Errorf("%s is for %s, of which no images are made", path, f.Machine)
	}
	return architecture, nil
}

// Push pushes the image to a registry, by the credentials of this machine for it, and
// returns its reference, with the digest.
func (i Image) Push(ctx context.Context, registry string) (string, error) {
	ref, err := name.NewTag(registry + "/" + i.Name + ":" + i.Version)
	if err != nil {
		return "", fmt.Errorf("the image of %s: %w", i.Name, err)
	}
	if err := remote.WriteIndex(ref, i.Index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return "", fmt.Errorf("pushing %s: %w", ref, err)
	}
	digest, err := i.Index.Digest()
	return ref.String() + "@" + digest.String(), err
}

// WriteLayout writes images into a folder, as an OCI image layout, in place of one that is
// there. Other folders are left alone.
func WriteLayout(folder string, images []Image) error {
	if entries, err := os.ReadDir(folder); err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(folder, "oci-layout")); err != nil {
			return fmt.Errorf("%s has something that is no image layout: name another folder", folder)
		}
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
	}
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return fmt.Errorf("writing image layout %s: %w", folder, err)
	}
	for _, i := range images {
		named := layout.WithAnnotations(map[string]string{annotationName: i.Name + ":" + i.Version})
		if err := path.AppendIndex(i.Index, named); err != nil {
			return fmt.Errorf("writing %s to image layout %s: %w", i.Name, folder, err)
		}
	}
	return nil
}
