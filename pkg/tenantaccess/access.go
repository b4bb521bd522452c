// Package tenantaccess gets an object of the API in to the cluster that its kubeConfig
// names, as the ServiceAccount that it names. Where it names none, that is this cluster,
// and the controller itself or whoever stands in for those that name nobody.
package tenantaccess

import (
	"cmp"
	"context"
	"errors"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/pkg/creds/cloud"
	"weir.dev/pkg/tenant"
)

// Options say how objects of a kind get in.
type Options struct {
	// Kind is that of the objects.
	Kind string
	// DefaultServiceAccount is as whom objects work that name nobody; "" is the
	// controller itself.
	DefaultServiceAccount string
	// DefaultKubeconfigAccount is whose identity opens other clusters for those that name
	// none; "" is the controller's.
	DefaultKubeconfigAccount string
	// Kubeconfigs are what those of tenants may do.
	Kubeconfigs tenant.Kubeconfigs
	// Identities get tokens for other clusters; required.
	Identities *cloud.Identities
	// UserAgent is by which other clusters know the controller.
	UserAgent string
}

// Object is one that has objects in a cluster.
type Object struct {
	types.NamespacedName
	ServiceAccount string                    // "" names none
	KubeConfig     *meta.KubeConfigReference // nil means this cluster
	// Configs reads Secrets, ConfigMaps and ServiceAccounts for it.
	Configs client.Reader
}

// Access is the way in to clusters for objects of one kind.
type Access struct {
	clusters *tenant.Clusters
	opts     Options
}

// New returns the Access to clusters.
func New(clusters *tenant.Clusters, opts Options) *Access {
	return &Access{clusters: clusters, opts: opts}
}

// Enter returns the place where an object works. It says cloud.ErrGateDisabled if only a
// feature gate can help.
func (a *Access) Enter(ctx context.Context, o Object) (*tenant.Place, error) {
	user := tenant.User(o.Namespace, a.account(o))
	if o.KubeConfig == nil {
		return a.clusters.Enter(o.NamespacedName, user)
	}
	remote, err := a.remote(ctx, o)
	if err != nil {
		return nil, err
	}
	return a.clusters.EnterRemote(o.NamespacedName, remote, user)
}

// account is the ServiceAccount that an object works as; "" is none.
func (a *Access) account(o Object) string {
	return cmp.Or(o.ServiceAccount, a.opts.DefaultServiceAccount)
}

// remote says how to reach another cluster.
func (a *Access) remote(ctx context.Context, o Object) (tenant.Remote, error) {
	switch ref := o.KubeConfig; {
	case (ref.SecretRef == nil) == (ref.ConfigMapRef == nil):
		return tenant.Remote{}, errors.New("exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified")
	case ref.SecretRef != nil:
		return a.bySecret(ctx, o, *ref.SecretRef)
	default:
		return a.byConfigMap(ctx, o, ref.ConfigMapRef.Name)
	}
}

// Missing returns what is gone that an object takes to reach what it applied, "" if
// nothing is: its ServiceAccount, or its kubeconfig, as when its namespace goes. That of
// another cluster is not looked for there.
func (a *Access) Missing(ctx context.Context, o Object) (name string, err error) {
	var obj client.Object
	switch ref := o.KubeConfig; {
	case ref == nil:
		name, obj = a.account(o), &corev1.ServiceAccount{}
	case ref.SecretRef != nil:
		name, obj = ref.SecretRef.Name, &corev1.Secret{}
	case ref.ConfigMapRef != nil:
		name, obj = ref.ConfigMapRef.Name, &corev1.ConfigMap{}
	}
	if name == "" {
		return "", nil
	}
	err = o.Configs.Get(ctx, client.ObjectKey{Namespace: o.Namespace, Name: name}, obj)
	if apierrors.IsNotFound(err) {
		return name, nil
	}
	return "", err
}
