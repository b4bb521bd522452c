// Package artifact makes OCI artifacts of files, and reads them: what an OCIRepository
// fetches.
//
// An artifact is an image with one layer, which is the archive of the files. Two of the same
// files have the same layer, byte for byte. Registries are logged in to as the user is for
// Docker, unless told otherwise. All that is read of a registry has a limit.
package artifact

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Media types of an artifact.
const (
	ConfigType  types.MediaType = "application/vnd.cncf.flux.config.v1+json"
	ContentType types.MediaType = "application/vnd.cncf.flux.content.v1.tar+gzip"
)

// Annotations of an artifact.
const (
	AnnotationSource   = "org.opencontainers.image.source"
	AnnotationRevision = "org.opencontainers.image.revision"
	AnnotationCreated  = "org.opencontainers.image.created"
)

// Scheme is what URLs of artifacts begin with.
const Scheme = "oci://"

var (
	// ErrURL is returned for what is no URL of an artifact.
	ErrURL = errors.New("not the URL of an artifact")
	// ErrNotFound is returned when there is no such artifact.
	ErrNotFound = errors.New("there is no such artifact")
	// ErrUnauthorized is returned when the registry does not let in.
	ErrUnauthorized = errors.New("the registry does not let in")
	// ErrContent is returned for an artifact that has no archive of files.
	ErrContent = errors.New("the artifact has no archive of files")
)

// Access is how registries are reached.
type Access struct {
	// Insecure allows http.
	Insecure bool
	// Credentials are USER:PASSWORD, or a token; as the user is logged in for Docker, if it
	// is empty.
	Credentials string
	// Transport is how requests are sent; nil is one of the library.
	Transport http.RoundTripper
}

// Registry talks to registries.
type Registry struct {
	access Access
}

// New returns a registry.
func New(access Access) *Registry { return &Registry{access: access} }

func (r *Registry) names() []name.Option {
	if r.access.Insecure {
		return []name.Option{name.Insecure}
	}
	return nil
}

// reference reads the URL of an artifact.
func (r *Registry) reference(url string) (name.Reference, error) {
	text, ok := strings.CutPrefix(url, Scheme)
	if !ok || text == "" {
		return nil, fmt.Errorf("%w: %q does not begin with %s", ErrURL, url, Scheme)
	}
	ref, err := name.ParseReference(text, r.names()...)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is not %sHOST/REPOSITORY:TAG", ErrURL, url, Scheme)
	}
	return ref, nil
}

// repository reads the URL of a repository, which names no artifact of it.
func (r *Registry) repository(url string) (name.Repository, error) {
	text, ok := strings.CutPrefix(url, Scheme)
	if !ok {
		return name.Repository{}, fmt.Errorf("%w: %q does not begin with %s", ErrURL, url, Scheme)
	}
	repo, err := name.NewRepository(text, r.names()...)
	if err != nil {
		return name.Repository{}, fmt.Errorf("%w: %q is not %sHOST/REPOSITORY", ErrURL, url, Scheme)
	}
	return repo, nil
}

// options are those of a request.
func (r *Registry) options(ctx context.Context) []remote.Option {
	out := []remote.Option{remote.WithContext(ctx), remote.WithUserAgent("weir")}
	if r.access.Transport != nil {
		out = append(out, remote.WithTransport(r.access.Transport))
	}
	switch user, password, both := strings.Cut(r.access.Credentials, ":"); {
	case r.access.Credentials == "":
		return append(out, remote.WithAuthFromKeychain(authn.DefaultKeychain))
	case both:
		return append(out, remote.WithAuth(&authn.Basic{Username: user, Password: password}))
	default:
		return append(out, remote.WithAuth(&authn.Bearer{Token: user}))
	}
}

// Described is what is known of an artifact without its content.
type Described struct {
	// URL names the artifact by its digest.
	URL        string `json:"url"`
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty"`
	Digest     string `json:"digest"`

	Source   string `json:"-"`
	Revision string `json:"-"`
}

// describe returns what is known of an artifact.
func describe(ref name.Reference, digest v1.Hash, annotations map[string]string) Described {
	d := Described{
		URL: Scheme + ref.Context().Digest(digest.String()).String(), Repository: ref.Context().Name(), Digest: digest.String(),
		Source: annotations[AnnotationSource], Revision: annotations[AnnotationRevision],
	}
	if tag, ok := ref.(name.Tag); ok {
		d.Tag = tag.TagStr()
	}
	return d
}

// explain says what an answer of a registry means.
func explain(doing string, ref fmt.Stringer, err error) error {
	var answer *remoteError
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s %s%s: %w", doing, Scheme, ref, err)
	}
	switch answer.StatusCode {
	case http.StatusNotFound:
		return fmt.Errorf("%s %s%s: %w", doing, Scheme, ref, ErrNotFound)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%s %s%s: %w", doing, Scheme, ref, ErrUnauthorized)
	}
	return fmt.Errorf("%s %s%s: %w", doing, Scheme, ref, err)
}
