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
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/oci"
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

var (
	// ErrURL is returned for what is no URL of an artifact.
	ErrURL = errors.New("not the URL of an artifact")
	// ErrContent is returned for an artifact that has no archive of files.
	ErrContent = errors.New("the artifact has no archive of files")
)

// Access is how registries are reached.
type Access struct {
	// Insecure allows http.
	Insecure bool
	// Credentials are USER:PASSWORD, or a token; as the user is logged in for Docker, if it
	// is empty.
	Credentials creds.Hidden
}

// Registry talks to registries.
type Registry struct {
	access Access
	reader *oci.Client
}

// New returns a registry.
func New(access Access) *Registry {
	return &Registry{access: access, reader: oci.NewClient(oci.Limits{Tags: maxTags})}
}

func (r *Registry) names() []name.Option {
	if r.access.Insecure {
		return []name.Option{name.Insecure}
	}
	return nil
}

// reference reads the URL of an artifact.
func (r *Registry) reference(url string) (name.Reference, error) {
	text, ok := strings.CutPrefix(url, oci.Scheme)
	if !ok || text == "" {
		return nil, fmt.Errorf("%w: %q does not begin with %s", ErrURL, url, oci.Scheme)
	}
	ref, err := name.ParseReference(text, r.names()...)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is not %sHOST/REPOSITORY:TAG", ErrURL, url, oci.Scheme)
	}
	return ref, nil
}

// repository reads the URL of a repository, which names no artifact of it.
func (r *Registry) repository(url string) (name.Repository, error) {
	text, ok := strings.CutPrefix(url, oci.Scheme)
	if !ok {
		return name.Repository{}, fmt.Errorf("%w: %q does not begin with %s", ErrURL, url, oci.Scheme)
	}
	repo, err := name.NewRepository(text, r.names()...)
	if err != nil {
		return name.Repository{}, fmt.Errorf("%w: %q is not %sHOST/REPOSITORY", ErrURL, url, oci.Scheme)
	}
	return repo, nil
}

// who returns as whom a repository is asked.
func (r *Registry) who(ctx context.Context, repo name.Repository) (authn.Authenticator, error) {
	user, password, both := strings.Cut(r.access.Credentials.Reveal(), ":")
	switch {
	case r.access.Credentials.Empty():
		return authn.Resolve(ctx, authn.DefaultKeychain, repo)
	case both:
		return &authn.Basic{Username: user, Password: password}, nil
	default:
		return &authn.Bearer{Token: user}, nil
	}
}

// session returns what reads a repository.
func (r *Registry) session(ctx context.Context, repo name.Repository) (*oci.Session, error) {
	where, err := oci.ParseURL(oci.Scheme + repo.Name())
	if err != nil {
		return nil, err
	}
	who, err := r.who(ctx, repo)
	if err != nil {
		return nil, err
	}
	login, err := oci.LoginOf(ctx, who)
	if err != nil {
		return nil, err
	}
	return r.reader.Session(where, oci.Access{Login: login, Insecure: r.access.Insecure})
}

// writing returns the options of what writes to a repository.
func (r *Registry) writing(ctx context.Context, repo name.Repository) ([]remote.Option, error) {
	who, err := r.who(ctx, repo)
	return []remote.Option{remote.WithContext(ctx), remote.WithUserAgent("weir"), remote.WithAuth(who)}, err
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
		URL: oci.Scheme + ref.Context().Digest(digest.String()).String(), Repository: ref.Context().Name(), Digest: digest.String(),
		Source: annotations[AnnotationSource], Revision: annotations[AnnotationRevision],
	}
	if tag, ok := ref.(name.Tag); ok {
		d.Tag = tag.TagStr()
	}
	return d
}

// explain says what an answer of a registry to what writes means.
func explain(doing string, ref fmt.Stringer, err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) {
		switch answer.StatusCode {
		case http.StatusNotFound:
			err = oci.ErrNotFound
		case http.StatusUnauthorized, http.StatusForbidden:
			err = oci.ErrUnauthorized
		}
	}
	return about(doing, ref, err)
}

// about says what was done as an error came.
func about(doing string, ref fmt.Stringer, err error) error {
	return fmt.Errorf("%s %s%s: %w", doing, oci.Scheme, ref, err)
}
