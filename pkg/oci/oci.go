// Package oci reads artifacts from OCI registries: it resolves a reference to a digest,
// lists tags, reads manifests and layers, and finds what refers to a digest.
//
// A Session logs in once and is kept, so that asking for the digest of a tag again costs
// one HEAD. Everything that a registry sends has a limit, and what has a digest is checked
// against it. Credentials go to the registry and to the token server that it names, and
// never follow a redirect to another host. Errors are stable between equal failures and
// tell nothing of what a registry, or anybody on the way, may have put into its answer.
//
// Which Secret has the credentials, and what becomes of an artifact, is the caller's.
package oci

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Scheme begins the URLs of repositories.
const Scheme = "oci://"

// maxURL is the longest URL of a repository that is looked at.
const maxURL = 2048

var (
	// ErrInvalidURL is wrapped by errors about a URL that cannot name a repository.
	ErrInvalidURL = errors.New("invalid OCI repository URL")

	// ErrInvalidImage is wrapped by errors about a text that cannot be the name of an image.
	ErrInvalidImage = errors.New("invalid image name")

	// ErrInvalidReference is wrapped by errors about a tag, a digest, a range or a filter
	// that no registry could answer.
	ErrInvalidReference = errors.New("invalid OCI reference")

	// ErrUnauthorized is wrapped when a registry refuses the credentials, or asks for some.
	ErrUnauthorized = errors.New("registry refuses access")

	// ErrUntrusted is wrapped when a registry is not who it has to be, or would have
	// credentials sent in a way that does not keep them.
	ErrUntrusted = errors.New("registry is not trusted")

	// ErrNotFound is wrapped when a registry has no such thing.
	ErrNotFound = errors.New("not found in the registry")

	// ErrTooLarge is wrapped when a registry sends more than a limit allows.
	ErrTooLarge = errors.New("too large")

	// ErrCorrupt is wrapped when what a registry sends is not what it has to be.
	ErrCorrupt = errors.New("corrupt content")

	// ErrManifest is wrapped, with ErrCorrupt, when a manifest has the right digest and
	// cannot be read.
	ErrManifest = errors.New("unreadable manifest")

	// ErrRegistry is wrapped by all other failures of a registry.
	ErrRegistry = errors.New("registry fails")

	// ErrNoMatch is wrapped when no tag is in a range.
	ErrNoMatch = errors.New("no match found for semver")
)

// Repository names a repository of a registry. Equal repositories are ==.
type Repository struct{ registry, path string }

// ParseURL reads the URL of a repository, which has neither tag nor digest.
func ParseURL(rawURL string) (Repository, error) {
	rest, ok := strings.CutPrefix(rawURL, Scheme)
	if !ok {
		return Repository{}, fmt.Errorf("%w: it does not begin with %s", ErrInvalidURL, Scheme)
	}
	if len(rawURL) > maxURL {
		return Repository{}, fmt.Errorf("%w: it has more than %d bytes", ErrInvalidURL, maxURL)
	}
	if strings.ContainsAny(rest, "@?#") {
		// What is before an @ may be a password, so none of it is repeated.
		return Repository{}, fmt.Errorf("%w: it has a digest, credentials or a query, of which a repository has none: digests belong to spec.ref, credentials to a Secret", ErrInvalidURL)
	}
	rest = strings.TrimSuffix(rest, "/")
	if !strings.Contains(rest, "/") {
		return Repository{}, fmt.Errorf("%w: %q is a registry, or a repository without one", ErrInvalidURL, rest)
	}
	if i := strings.LastIndexByte(rest, '/'); i >= 0 && strings.Contains(rest[i:], ":") {
		return Repository{}, fmt.Errorf("%w: %q has a tag, which belongs to spec.ref", ErrInvalidURL, rest)
	}
	repo, err := name.NewRepository(rest)
	if err != nil || unclean(repo.RepositoryStr()) {
		return Repository{}, fmt.Errorf("%w: %q names no repository of a registry", ErrInvalidURL, rest)
	}
	return Repository{registry: repo.RegistryStr(), path: repo.RepositoryStr()}, nil
}

// ParseImage reads the name of an image, which has neither scheme nor tag nor digest, and
// may leave out what is implied: the registry, and a part of the path there.
func ParseImage(image string) (Repository, error) {
	switch {
	case image == "":
		return Repository{}, fmt.Errorf("%w: it is empty", ErrInvalidImage)
	case len(image) > maxURL:
		return Repository{}, fmt.Errorf("%w: it has more than %d bytes", ErrInvalidImage, maxURL)
	case strings.ContainsAny(image, "@?#"):
		// What is before an @ may be a password, so none of it is repeated.
		return Repository{}, fmt.Errorf("%w: it has a digest, credentials or a query, of which the name of an image has none", ErrInvalidImage)
	}
	if scheme, rest, ok := strings.Cut(image, "://"); ok {
		return Repository{}, fmt.Errorf("%w: it should not start with URL scheme; write %q without %q", ErrInvalidImage, rest, shortened(scheme)+"://")
	}
	if i := strings.LastIndexByte(image, '/'); strings.Contains(image[i+1:], ":") {
		_, tag, _ := strings.Cut(image[i+1:], ":")
		return Repository{}, fmt.Errorf("%w: it should not contain a tag; remove %q", ErrInvalidImage, ":"+shortened(tag))
	}
	repo, err := name.NewRepository(image)
	if err != nil || unclean(repo.RepositoryStr()) {
		return Repository{}, fmt.Errorf("%w: %q names no repository of a registry", ErrInvalidImage, shortened(image))
	}
	return Repository{registry: repo.RegistryStr(), path: repo.RepositoryStr()}, nil
}

// unclean reports whether a path has parts that a server may take for something else.
func unclean(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return true
		}
	}
	return false
}

// Registry returns the host of the registry, with its port if it is given.
func (r Repository) Registry() string { return r.registry }

// Path returns the name of the repository in its registry.
func (r Repository) Path() string { return r.path }

// String returns the repository without a scheme.
func (r Repository) String() string { return r.registry + "/" + r.path }

// name is the repository in the terms of the library.
func (r Repository) name(insecure bool) (name.Repository, error) {
	var opts []name.Option
	if insecure {
		opts = append(opts, name.Insecure)
	}
	repo, err := name.NewRepository(r.String(), opts...)
	if err != nil {
		return name.Repository{}, fmt.Errorf("%w: %q", ErrInvalidURL, r)
	}
	return repo, nil
}

// CheckTag reports whether a text can be a tag.
func CheckTag(tag string) error {
	const most = 128
	if tag == "" || len(tag) > most || tag[0] == '.' || tag[0] == '-' || strings.Trim(tag, tagChars) != "" {
		return fmt.Errorf("%w: %q cannot be a tag", ErrInvalidReference, shortened(tag))
	}
	return nil
}

const tagChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

// ParseDigest reads a digest, `sha256:<hex>`.
func ParseDigest(digest string) (v1.Hash, error) {
	hash, err := v1.NewHash(digest)
	if err != nil || hash.Algorithm != "sha256" {
		return v1.Hash{}, fmt.Errorf("%w: %q is no digest of the form sha256:<64 hex digits>", ErrInvalidReference, shortened(digest))
	}
	return hash, nil
}

func shortened(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
