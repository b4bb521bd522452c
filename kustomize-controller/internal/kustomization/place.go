package kustomization

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/inventory"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/tenant"
)

// fetchKubeconfig is what tokens for other clusters are counted as.
const fetchKubeconfig = "fetch_kubeconfig"

// enterPlace finds the cluster of the objects, and as whom they are applied.
func (r *Reconciler) enterPlace(ctx context.Context, s *scope) error {
	at, err := r.place(ctx, s.ks)
	switch {
	case errors.Is(err, cloud.ErrGateDisabled):
		return loop.Stall(kustomizev1.ReasonFeatureGateDisabled, err)
	case err != nil:
		return loop.Fail(kustomizev1.ReasonReconciliationFailed, err)
	}
	s.at = at
	return nil
}

// place returns where a Kustomization applies its objects. What it applied elsewhere is
// no longer watched.
func (r *Reconciler) place(ctx context.Context, ks *kustomizev1.Kustomization) (*tenant.Place, error) {
	owner, user := client.ObjectKeyFromObject(ks), r.user(ks)
	before := r.clusters.At(owner)
	var at *tenant.Place
	var err error
	if ref := ks.Spec.KubeConfig; ref == nil {
		at, err = r.clusters.Enter(owner, user)
	} else {
		var remote tenant.Remote
		if remote, err = r.remote(ctx, ks, *ref); err == nil {
			at, err = r.clusters.EnterRemote(owner, remote, user)
		}
	}
	if err != nil {
		return nil, err
	}
	if before != nil && before.Drift != at.Drift {
		if set, err := inventory.Decode(ks.Status.Inventory); err == nil {
			forget(before, set)
		}
	}
	return at, nil
}

// forget ends the watch for drift of objects.
func forget(at *tenant.Place, objects inventory.Set) {
	for id := range objects {
		at.Drift.Forget(id)
	}
}

// user is as whom a Kustomization is applied; "" is the controller.
func (r *Reconciler) user(ks *kustomizev1.Kustomization) string {
	return tenant.User(ks.Namespace, cmp.Or(ks.Spec.ServiceAccountName, r.opts.DefaultServiceAccount))
}

// remote says how to reach another cluster.
func (r *Reconciler) remote(ctx context.Context, ks *kustomizev1.Kustomization, ref meta.KubeConfigReference) (tenant.Remote, error) {
	switch {
	case ref.SecretRef != nil && ref.ConfigMapRef != nil || ref.SecretRef == nil && ref.ConfigMapRef == nil:
		return tenant.Remote{}, errors.New("exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified")
	case ref.SecretRef != nil:
		return r.remoteOfSecret(ctx, ks, *ref.SecretRef)
	default:
		return r.remoteOfConfigMap(ctx, ks, ref.ConfigMapRef.Name)
	}
}

// remoteOfSecret reads a kubeconfig.
func (r *Reconciler) remoteOfSecret(ctx context.Context, ks *kustomizev1.Kustomization, ref meta.SecretKeyReference) (tenant.Remote, error) {
	key := client.ObjectKey{Namespace: ks.Namespace, Name: ref.Name}
	var secret corev1.Secret
	if err := r.configs(ks).Get(ctx, key, &secret); err != nil {
		return tenant.Remote{}, fmt.Errorf("reading the kubeconfig in Secret '%s': %w", key, err)
	}
	name, data := ref.Key, secret.Data[ref.Key]
	if name == "" {
		name, data = "value", secret.Data["value"]
		if data == nil {
			data = secret.Data["value.yaml"]
		}
	}
	if data == nil {
		return tenant.Remote{}, fmt.Errorf("the Secret '%s' does not contain a '%s' key with a kubeconfig", key, name)
	}
	cfg, err := r.opts.Kubeconfigs.Parse(data)
	if err != nil {
		return tenant.Remote{}, fmt.Errorf("invalid kubeconfig in Secret '%s': %w", key, err)
	}
	cfg.UserAgent = r.manager
	sum := sha256.Sum256(data)
	return tenant.Remote{Name: "Secret " + key.String() + " " + name, Config: cfg, Version: hex.EncodeToString(sum[:])}, nil
}

// remoteOfConfigMap reads which cluster of a cloud is meant. Each request gets a token
// that is valid then.
func (r *Reconciler) remoteOfConfigMap(ctx context.Context, ks *kustomizev1.Kustomization, name string) (tenant.Remote, error) {
	key := client.ObjectKey{Namespace: ks.Namespace, Name: name}
	var config corev1.ConfigMap
	if err := r.configs(ks).Get(ctx, key, &config); err != nil {
		return tenant.Remote{}, fmt.Errorf("reading the kubeconfig in ConfigMap '%s': %w", key, err)
	}
	who := cloud.Object{
		Kind: kustomizev1.KustomizationKind, Namespace: ks.Namespace, Name: ks.Name, Operation: fetchKubeconfig,
		ServiceAccount: config.Data[meta.KubeConfigKeyServiceAccountName], Default: r.opts.DefaultKubeconfigAccount,
	}
	cluster := cloud.Cluster{
		Resource: config.Data[meta.KubeConfigKeyCluster], Address: config.Data[meta.KubeConfigKeyAddress],
		CA: config.Data[meta.KubeConfigKeyCACert], Audiences: strings.Fields(config.Data[meta.KubeConfigKeyAudiences]),
	}
	provider := config.Data[meta.KubeConfigKeyProvider]
	access := func(ctx context.Context) (cloud.ClusterAccess, error) {
		return r.opts.Identities.Cluster(ctx, provider, who, cluster)
	}
	found, err := access(ctx)
	if err != nil {
		return tenant.Remote{}, fmt.Errorf("connecting by ConfigMap '%s': %w", key, err)
	}
	return tenant.Remote{
		Name: "ConfigMap " + key.String(),
		Config: &rest.Config{
			Host: found.Host, TLSClientConfig: rest.TLSClientConfig{CAData: found.CA}, UserAgent: r.manager,
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

// unreachable reports whether a Kustomization that goes can no longer reach what it
// applied: the ServiceAccount or the kubeconfig that it needs for that is gone, as when
// its namespace goes.
func (r *Reconciler) unreachable(ctx context.Context, ks *kustomizev1.Kustomization) (what string, err error) {
	needs := map[string]client.Object{}
	if name := cmp.Or(ks.Spec.ServiceAccountName, r.opts.DefaultServiceAccount); name != "" && ks.Spec.KubeConfig == nil {
		needs[name] = &corev1.ServiceAccount{}
	}
	if ref := ks.Spec.KubeConfig; ref != nil && ref.SecretRef != nil {
		needs[ref.SecretRef.Name] = &corev1.Secret{}
	}
	if ref := ks.Spec.KubeConfig; ref != nil && ref.ConfigMapRef != nil {
		needs[ref.ConfigMapRef.Name] = &corev1.ConfigMap{}
	}
	for name, obj := range needs {
		err := r.configs(ks).Get(ctx, client.ObjectKey{Namespace: ks.Namespace, Name: name}, obj)
		if apierrors.IsNotFound(err) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}
