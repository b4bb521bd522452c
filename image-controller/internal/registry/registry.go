// Package registry lets ImageRepositories in to the registry that has their image: as
// their spec says, by the Secrets that it names or an identity in a cloud.
package registry

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/oci"
	"weir.dev/pkg/ociaccess"
)

// Identities get credentials of short life from clouds.
type Identities interface {
	Registry(ctx context.Context, provider string, o cloud.Object, address string, proxy creds.Proxy) (authn.Authenticator, error)
	ServiceAccount(o cloud.Object) (string, error)
	Forget(o cloud.Object)
}

// Access opens sessions. It is safe for concurrent use.
type Access struct {
	registries *oci.Client
	identities Identities
}

// New returns an Access. All who ask for the same image with the same credentials share
// a login.
func New(registries *oci.Client, identities Identities) *Access {
	return &Access{registries: registries, identities: identities}
}

// Session returns the session with the repository of an image. Secrets and the
// ServiceAccount are read by read, in the namespace of repo. The error wraps
// oci.ErrInvalidImage or cloud.ErrGateDisabled where only another spec can help; else
// there are no credentials.
func (a *Access) Session(ctx context.Context, read client.Reader, repo *imagev1.ImageRepository) (*oci.Session, error) {
	image, err := oci.ParseImage(repo.Spec.Image)
	if err != nil {
		return nil, err
	}
	access, err := a.access(ctx, ociaccess.Reader{Client: read, Namespace: repo.Namespace}, repo, image)
	if err != nil {
		return nil, err
	}
	return a.registries.Session(image, access)
}

// Forget drops what is kept for a repository that is gone.
func (a *Access) Forget(repo *imagev1.ImageRepository) { a.identities.Forget(identityOf(repo)) }

// access returns how the registry is reached, and as whom.
func (a *Access) access(ctx context.Context, secrets ociaccess.Reader, repo *imagev1.ImageRepository, image oci.Repository) (oci.Access, error) {
	access := oci.Access{Insecure: repo.Spec.Insecure}
	var err error
	if access.Proxy, err = secrets.Proxy(ctx, repo.Spec.ProxySecretRef); err != nil {
		return oci.Access{}, fmt.Errorf("the proxy: %w", err)
	}
	if access.TLS, err = secrets.TLS(ctx, repo.Spec.CertSecretRef); err != nil {
		return oci.Access{}, fmt.Errorf("TLS: %w", err)
	}
	access.Login, err = a.login(ctx, secrets, repo, image, access.Proxy)
	return access, err
}

// login returns the credentials: those of a cloud, if the spec names one, whatever Secrets
// it names.
func (a *Access) login(
	ctx context.Context, secrets ociaccess.Reader, repo *imagev1.ImageRepository, image oci.Repository, proxy creds.Proxy,
) (oci.Login, error) {
	provider := repo.GetProvider()
	if provider == imagev1.ImageProviderGeneric {
		keychain, err := secrets.Keychain(ctx, repo.Spec.SecretRef, repo.Spec.ServiceAccountName)
		if err != nil {
			return oci.Login{}, err
		}
		return oci.LoginFrom(ctx, keychain, image)
	}
	if _, err := a.identities.ServiceAccount(identityOf(repo)); err != nil {
		return oci.Login{}, err
	}
	who, err := a.identities.Registry(ctx, string(provider), identityOf(repo), image.String(), proxy)
	if err != nil {
		return oci.Login{}, fmt.Errorf("%s: %w", provider, err)
	}
	return oci.LoginOf(ctx, who)
}

// identityOf returns whose credentials a cloud is asked for.
func identityOf(repo *imagev1.ImageRepository) cloud.Object {
	return cloud.Object{
		Kind: imagev1.ImageRepositoryKind, Namespace: repo.Namespace, Name: repo.Name, ServiceAccount: repo.Spec.ServiceAccountName,
	}
}
