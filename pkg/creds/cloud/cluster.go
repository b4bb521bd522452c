package cloud

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fluxcd/pkg/auth"
	"github.com/fluxcd/pkg/auth/generic"

	"weir.dev/pkg/creds"
)

// Generic is the provider of clusters that trust the ServiceAccounts of this one.
const Generic = generic.ProviderName

// Cluster names a Kubernetes cluster to a provider: by its resource in the cloud, or by
// its address.
type Cluster struct {
	Resource, Address string
	CA                string   // PEM; "" means what the provider tells, or the system's
	Audiences         []string // of tokens, for Generic; none means the address
}

// ClusterAccess lets its holder in to a Kubernetes cluster for a while.
type ClusterAccess struct {
	Host  string
	CA    []byte
	Token creds.Hidden
}

// Cluster returns the access of an object to a Kubernetes cluster.
func (i *Identities) Cluster(ctx context.Context, provider string, o Object, c Cluster) (ClusterAccess, error) {
	var p auth.RESTConfigProvider
	switch provider {
	case AWS:
		p = i.aws
	case Azure:
		p = i.azure
	case GCP:
		p = i.gcp
	case Generic:
		p = i.generic
	default:
		return ClusterAccess{}, fmt.Errorf("a cluster by %q: %w", provider, ErrProvider)
	}
	id, err := i.identify(ctx, provider, o, creds.Proxy{})
	if err != nil {
		return ClusterAccess{}, err
	}
	opts := append(id.opts, auth.WithClient(i.client))
	if c.Resource != "" {
		opts = append(opts, auth.WithClusterResource(c.Resource))
	}
	if c.Address != "" {
		opts = append(opts, auth.WithClusterAddress(c.Address))
	}
	if c.CA != "" {
		opts = append(opts, auth.WithCAData(c.CA))
	}
	if len(c.Audiences) > 0 {
		opts = append(opts, auth.WithAudiences(c.Audiences...))
	}
	key := digest("cluster", id.key, c.Resource, c.Address, c.CA, strings.Join(c.Audiences, "\n"))
	return kept(ctx, i.tokens, o, key, func(ctx context.Context) (ClusterAccess, time.Time, error) {
		given, err := auth.GetRESTConfig(ctx, p, opts...)
		if err != nil {
			return ClusterAccess{}, time.Time{}, stable(err)
		}
		return ClusterAccess{Host: given.Host, CA: given.CAData, Token: creds.Hide(given.BearerToken)}, given.ExpiresAt, nil
	})
}
