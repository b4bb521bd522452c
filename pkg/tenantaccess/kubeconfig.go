package tenantaccess

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/tenant"
)

// fetchKubeconfig is what tokens for other clusters are counted as.
const fetchKubeconfig = "fetch_kubeconfig"

// Keys of a Secret under which a kubeconfig is found that names none.
const (
	defaultKey  = "value"
	fallbackKey = "value.yaml"
)

// bySecret reads a kubeconfig.
func (a *Access) bySecret(ctx context.Context, o Object, ref meta.SecretKeyReference) (tenant.Remote, error) {
	key := client.ObjectKey{Namespace: o.Namespace, Name: ref.Name}
	var secret corev1.Secret
	if err := o.Configs.Get(ctx, key, &secret); err != nil {
		return tenant.Remote{}, fmt.Errorf("reading the kubeconfig in Secret '%s': %w", key, err)
	}
	name, data := ref.Key, secret.Data[ref.Key]
	if name == "" {
		name, data = defaultKey, secret.Data[defaultKey]
		if data == nil {
			data = secret.Data[fallbackKey]
		}
	}
	if data == nil {
		return tenant.Remote{}, fmt.Errorf("the Secret '%s' does not contain a '%s' key with a kubeconfig", key, name)
	}
	cfg, err := a.opts.Kubeconfigs.Parse(data)
	if err != nil {
		return tenant.Remote{}, fmt.Errorf("invalid kubeconfig in Secret '%s': %w", key, err)
	}
	cfg.UserAgent = a.opts.UserAgent
	sum := sha256.Sum256(data)
	return tenant.Remote{Name: "Secret " + key.String() + " " + name, Config: cfg, Version: hex.EncodeToString(sum[:])}, nil
}

// byConfigMap reads which cluster of a cloud is meant. Each request gets a token that is
// valid then.
func (a *Access) byConfigMap(ctx context.Context, o Object, name string) (tenant.Remote, error) {
	key := client.ObjectKey{Namespace: o.Namespace, Name: name}
	var config corev1.ConfigMap
	if err := o.Configs.Get(ctx, key, &config); err != nil {
		return tenant.Remote{}, fmt.Errorf("reading the kubeconfig in ConfigMap '%s': %w", key, err)
	}
	who := cloud.Object{
		Kind: a.opts.Kind, Namespace: o.Namespace, Name: o.Name, Operation: fetchKubeconfig,
		ServiceAccount: config.Data[meta.KubeConfigKeyServiceAccountName], Default: a.opts.DefaultKubeconfigAccount,
	}
	cluster := cloud.Cluster{
		Resource: config.Data[meta.KubeConfigKeyCluster], Address: config.Data[meta.KubeConfigKeyAddress],
		CA: config.Data[meta.KubeConfigKeyCACert], Audiences: strings.Fields(config.Data[meta.KubeConfigKeyAudiences]),
	}
	provider := config.Data[meta.KubeConfigKeyProvider]
	access := func(ctx context.Context) (cloud.ClusterAccess, error) {
		return a.opts.Identities.Cluster(ctx, provider, who, cluster)
	}
	found, err := access(ctx)
	if err != nil {
		return tenant.Remote{}, fmt.Errorf("connecting by ConfigMap '%s': %w", key, err)
	}
	return tenant.Remote{
		Name: "ConfigMap " + key.String(),
		Config: &rest.Config{
			Host: found.Host, TLSClientConfig: rest.TLSClientConfig{CAData: found.CA}, UserAgent: a.opts.UserAgent,
			WrapTransport: func(base http.RoundTripper) http.RoundTripper { return bearer{base: base, access: access} },
		},
		Version: provider + who.ServiceAccount + cluster.Resource + string(found.CA),
	}, nil
}

// bearer is a transport that shows a token that is valid at the time.
type bearer struct {
	base   http.RoundTripper
	access func(context.Context) (cloud.ClusterAccess, error)
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	found, err := b.access(req.Context())
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+found.Token.Reveal())
	return b.base.RoundTrip(req)
}
