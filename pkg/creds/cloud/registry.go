package cloud

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fluxcd/pkg/auth"
	"github.com/google/go-containerregistry/pkg/authn"

	"weir.dev/pkg/creds"
)

// Registry returns the credentials of an object for a container registry, or for a
// repository of it, of Amazon, Azure or Google. The address may begin with oci://.
func (i *Identities) Registry(ctx context.Context, provider string, o Object, address string, proxy creds.Proxy) (authn.Authenticator, error) {
	var p auth.ArtifactRegistryCredentialsProvider
	switch provider {
	case AWS:
		p = i.aws
	case Azure:
		p = i.azure
	case GCP:
		p = i.gcp
	default:
		return nil, fmt.Errorf("a registry by %q: %w", provider, ErrProvider)
	}
	id, err := i.identify(ctx, provider, o, proxy)
	if err != nil {
		return nil, err
	}
	address = strings.TrimPrefix(address, "oci://")
	input, err := p.ParseArtifactRepository(address)
	if err != nil {
		return nil, err
	}
	key := digest("registry", id.key, input, proxy.Fingerprint())
	return kept(ctx, i.tokens, o, key, func(ctx context.Context) (authn.Authenticator, time.Time, error) {
		given, err := auth.GetArtifactRegistryCredentials(ctx, p, address, id.opts...)
		if err != nil {
			return nil, time.Time{}, stable(err)
		}
		return given.Authenticator, given.ExpiresAt, nil
	})
}
