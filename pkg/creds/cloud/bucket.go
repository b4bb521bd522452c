package cloud

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/fluxcd/pkg/auth"
	"github.com/fluxcd/pkg/auth/aws"
	"github.com/fluxcd/pkg/auth/azure"
	"github.com/fluxcd/pkg/auth/gcp"
	"golang.org/x/oauth2"

	"weir.dev/pkg/creds"
)

// Keys let in to S3.
type Keys struct {
	Access, Secret, Session creds.Hidden
	Ends                    time.Time
}

// S3 returns the keys of an object for S3 in a region. endpoint is that of the token
// service; "" means the one of the region.
func (i *Identities) S3(ctx context.Context, o Object, region, endpoint string, proxy creds.Proxy) (Keys, error) {
	id, err := i.identify(ctx, AWS, o, proxy)
	if err != nil {
		return Keys{}, err
	}
	if region != "" {
		id.opts = append(id.opts, auth.WithSTSRegion(region))
	}
	if endpoint != "" {
		id.opts = append(id.opts, auth.WithSTSEndpoint(endpoint))
	}
	key := digest("access", id.key, region, endpoint, proxy.Fingerprint())
	return kept(ctx, i.tokens, o, key, func(ctx context.Context) (Keys, time.Time, error) {
		given, err := access[*aws.Credentials](ctx, i.aws, id)
		if err != nil {
			return Keys{}, time.Time{}, err
		}
		k := Keys{Access: hide(given.AccessKeyId), Secret: hide(given.SecretAccessKey), Session: hide(given.SessionToken)}
		if given.Expiration != nil {
			k.Ends = *given.Expiration
		}
		return k, k.Ends, nil
	})
}

// access gets a token that the provider hands out as a T.
func access[T auth.Token](ctx context.Context, p auth.Provider, id identity) (T, error) {
	var zero T
	token, err := auth.GetAccessToken(ctx, p, id.opts...)
	if err != nil {
		return zero, stable(err)
	}
	given, ok := token.(T)
	if !ok {
		return zero, fmt.Errorf("the provider hands out a %T", token)
	}
	return given, nil
}

func hide(text *string) creds.Hidden {
	if text == nil {
		return creds.Hidden{}
	}
	return creds.Hide(*text)
}

// GCS returns a source of tokens of an object for Google Cloud Storage, for as long as
// ctx lasts.
func (i *Identities) GCS(ctx context.Context, o Object, proxy creds.Proxy) (oauth2.TokenSource, error) {
	if _, err := i.ServiceAccount(o); err != nil {
		return nil, err
	}
	return tokenSource(func() (*oauth2.Token, error) {
		id, err := i.identify(ctx, GCP, o, proxy)
		if err != nil {
			return nil, err
		}
		key := digest("access", id.key, proxy.Fingerprint())
		return kept(ctx, i.tokens, o, key, func(ctx context.Context) (*oauth2.Token, time.Time, error) {
			given, err := access[*gcp.Token](ctx, i.gcp, id)
			if err != nil {
				return nil, time.Time{}, err
			}
			return &given.Token, given.Expiry, nil
		})
	}), nil
}

// tokenSource is a function as a source of tokens.
type tokenSource func() (*oauth2.Token, error)

func (f tokenSource) Token() (*oauth2.Token, error) { return f() }

// Blobs returns what gives tokens of an object for Azure Blob Storage.
func (i *Identities) Blobs(o Object, proxy creds.Proxy) (azcore.TokenCredential, error) {
	if _, err := i.ServiceAccount(o); err != nil {
		return nil, err
	}
	return tokenCredential(func(ctx context.Context, scopes []string) (azcore.AccessToken, error) {
		id, err := i.identify(ctx, Azure, o, proxy)
		if err != nil {
			return azcore.AccessToken{}, err
		}
		if len(scopes) == 0 {
			scopes = []string{azure.ScopeBlobStorage}
		}
		id.opts = append(id.opts, auth.WithScopes(scopes...))
		key := digest("access", id.key, strings.Join(scopes, " "), proxy.Fingerprint())
		return kept(ctx, i.tokens, o, key, func(ctx context.Context) (azcore.AccessToken, time.Time, error) {
			given, err := access[*azure.Token](ctx, i.azure, id)
			if err != nil {
				return azcore.AccessToken{}, time.Time{}, err
			}
			return given.AccessToken, given.ExpiresOn, nil
		})
	}), nil
}

// tokenCredential is a function as a credential.
type tokenCredential func(ctx context.Context, scopes []string) (azcore.AccessToken, error)

func (f tokenCredential) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return f(ctx, opts.Scopes)
}
