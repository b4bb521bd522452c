package verb

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// tenantLabel says whose an object is.
const tenantLabel = "toolkit.fluxcd.io/tenant"

// createTenant makes what a tenant works with: namespaces, and an account in each.
type createTenant struct {
	*creation
	namespaces    []string
	role, account string
	skipNamespace bool
}

func newCreateTenant(c *creation) *cobra.Command {
	t := &createTenant{creation: c}
	cmd := c.command("tenant", "Create the namespaces and the account of a tenant", `  weir create tenant shop --with-namespace=shop-web,shop-data --cluster-role=admin --export`, t.build)
	cmd.Long = `Creates namespaces for a tenant, and in each a ServiceAccount that may do there what a
ClusterRole allows. Kustomizations and HelmReleases in such a namespace name it by
spec.serviceAccountName.`
	fs := cmd.Flags()
	fs.StringSliceVar(&t.namespaces, "with-namespace", nil, "namespaces of the tenant")
	fs.StringVar(&t.role, "cluster-role", "cluster-admin", "ClusterRole that the account has in the namespaces")
	fs.StringVar(&t.account, "with-service-account", "", "name of the account; by default that of the tenant")
	fs.BoolVar(&t.skipNamespace, "skip-namespace", false, "the namespaces are there")
	return cmd
}

func (t *createTenant) build(_ context.Context, name string) ([]client.Object, error) {
	m, err := t.metadata(name)
	if err != nil {
		return nil, err
	}
	if len(t.namespaces) == 0 {
		return nil, errors.New("--with-namespace is missing")
	}
	account := t.account
	if account == "" {
		account = name
	}
	labels := map[string]string{tenantLabel: name}
	maps.Copy(labels, m.Labels)
	var objs []client.Object
	seen := make(map[string]bool)
	for _, namespace := range t.namespaces {
		if _, err := t.metadata(namespace); err != nil {
			return nil, err
		}
		if seen[namespace] {
			return nil, fmt.Errorf("--with-namespace has %q twice", namespace)
		}
		seen[namespace] = true
		if !t.skipNamespace {
			objs = append(objs, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: labels}})
		}
		objs = append(objs,
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: namespace, Labels: labels}},
			&rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: name + "-reconciler", Namespace: namespace, Labels: labels},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: t.role},
				Subjects: []rbacv1.Subject{
					{APIGroup: rbacv1.GroupName, Kind: "User", Name: "gotk:" + namespace + ":reconciler"},
					{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: namespace},
				},
			})
	}
	return objs, nil
}
