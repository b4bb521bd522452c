// Package installation knows installations of the toolkit in a cluster: what there is, what
// is wrong with it and what to do about that, how to bring objects into the cluster, and how
// to take an installation out of it.
//
// Look reads facts; what follows from them, pure functions decide.
package installation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/install"
)

const (
	labelManagedBy = "app.kubernetes.io/managed-by"

	// sourceDefinition is a CRD that every installation has, whose labels tell of it.
	sourceDefinition = "gitrepositories.source.toolkit.fluxcd.io"
)

// State is what a cluster tells of installations.
type State struct {
	// Namespace is the one that is looked at.
	Namespace string
	// Server is the version of the API server.
	Server string
	// Definitions are the CRDs of weir that there are, by name.
	Definitions map[string]*apiextensionsv1.CustomResourceDefinition
	// Hidden says that who asks may not see Definitions.
	Hidden bool
	// Deployments are those of controllers, of all namespaces.
	Deployments []*unstructured.Unstructured
	// Narrow says that they are those of the namespace only: who asks may not see others.
	Narrow bool
	// Policies are the NetworkPolicies of the namespace.
	Policies []*unstructured.Unstructured
	// Stuck are objects that somebody wants to be gone, and finalizers keep.
	Stuck []Stuck
	// Denied is what who asks may not do, of what an installation takes.
	Denied []string
}

// Stuck is an object that is being deleted.
type Stuck struct {
	Name       string // Kind/namespace/name
	Finalizers []string
	Since      time.Time
}

// Reader reads facts.
type Reader struct {
	Client    client.WithWatch
	Discovery discovery.ServerVersionInterface
}

// Look reads what there is to be known of installations. Of what who asks may not see,
// nothing is told, but of Deployments of the namespace.
func (r Reader) Look(ctx context.Context, namespace string) (State, error) {
	s := State{Namespace: namespace}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		v, err := r.Discovery.ServerVersion()
		if err == nil {
			s.Server = v.GitVersion
		}
		return err
	})
	g.Go(func() (err error) { s.Deployments, s.Narrow, err = r.visible(ctx, namespace); return err })
	g.Go(func() (err error) { s.Definitions, s.Hidden, err = r.definitions(ctx); return err })
	g.Go(func() (err error) { s.Policies, err = r.policies(ctx, namespace); return err })
	g.Go(func() (err error) { s.Stuck, err = r.stuck(ctx); return err })
	g.Go(func() (err error) { s.Denied, err = r.denied(ctx); return err })
	err := g.Wait()
	return s, err
}

// list returns a list for objects of a kind.
func list(group, version, kind string) *unstructured.UnstructuredList {
	l := &unstructured.UnstructuredList{}
	l.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: version, Kind: kind + "List"})
	return l
}

// pointers returns the objects of a list.
func pointers(l *unstructured.UnstructuredList) []*unstructured.Unstructured {
	out := make([]*unstructured.Unstructured, len(l.Items))
	for i := range l.Items {
		out[i] = &l.Items[i]
	}
	return out
}

// deployments returns those of controllers.
func (r Reader) deployments(ctx context.Context, in ...client.ListOption) ([]*unstructured.Unstructured, error) {
	l := list("apps", "v1", "Deployment")
	if err := r.Client.List(ctx, l, append(in, client.MatchingLabels{install.LabelPartOf: install.PartOf})...); err != nil {
		return nil, fmt.Errorf("listing the controllers: %w", err)
	}
	out := pointers(l)
	slices.SortFunc(out, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(strings.Compare(a.GetNamespace(), b.GetNamespace()), strings.Compare(a.GetName(), b.GetName()))
	})
	return out, nil
}

// visible returns those of controllers, and whether that is only those of the namespace, since
// others may not be seen.
func (r Reader) visible(ctx context.Context, namespace string) (_ []*unstructured.Unstructured, narrow bool, _ error) {
	all, err := r.deployments(ctx)
	if !apierrors.IsForbidden(err) {
		return all, false, err
	}
	all, err = r.deployments(ctx, client.InNamespace(namespace))
	return all, true, err
}

// definitions returns the CRDs of the kinds of weir, and whether any may not be seen.
func (r Reader) definitions(ctx context.Context) (_ map[string]*apiextensionsv1.CustomResourceDefinition, hidden bool, _ error) {
	wanted, err := definitionsOf(install.All())
	if err != nil {
		return nil, false, err
	}
	var unseen atomic.Bool
	found := make([]*apiextensionsv1.CustomResourceDefinition, len(wanted))
	g, ctx := errgroup.WithContext(ctx)
	for i, w := range wanted {
		g.Go(func() error {
			var crd apiextensionsv1.CustomResourceDefinition
			err := r.Client.Get(ctx, client.ObjectKey{Name: w.Name}, &crd)
			if err == nil {
				found[i] = &crd
			}
			if apierrors.IsForbidden(err) {
				unseen.Store(true)
			}
			return unlessUnseen(err)
		})
	}
	err = g.Wait()
	out := make(map[string]*apiextensionsv1.CustomResourceDefinition)
	for _, crd := range found {
		if crd != nil {
			out[crd.Name] = crd
		}
	}
	return out, unseen.Load(), err
}

func (r Reader) policies(ctx context.Context, namespace string) ([]*unstructured.Unstructured, error) {
	l := list("networking.k8s.io", "v1", "NetworkPolicy")
	err := unlessUnseen(r.Client.List(ctx, l, client.InNamespace(namespace)))
	return pointers(l), err
}

// stuck returns the objects of weir's kinds that are being deleted.
func (r Reader) stuck(ctx context.Context) ([]Stuck, error) {
	all, err := definitionsOf(install.All())
	if err != nil {
		return nil, err
	}
	found := make([][]Stuck, len(all))
	g, ctx := errgroup.WithContext(ctx)
	for i, crd := range all {
		g.Go(func() error {
			kind := crd.Spec.Names.Kind
			l := &metav1.PartialObjectMetadataList{}
			l.SetGroupVersionKind(schema.GroupVersionKind{Group: crd.Spec.Group, Version: newest(crd), Kind: kind + "List"})
			err := r.Client.List(ctx, l)
			for _, o := range l.Items {
				if at := o.DeletionTimestamp; at != nil {
					found[i] = append(found[i], Stuck{Name: kind + "/" + o.Namespace + "/" + o.Name, Finalizers: o.Finalizers, Since: at.Time})
				}
			}
			return unlessUnseen(err)
		})
	}
	err = g.Wait()
	return slices.Concat(found...), err
}

// newest is the version in which objects are stored.
func newest(crd *apiextensionsv1.CustomResourceDefinition) string {
	for _, v := range crd.Spec.Versions {
		if v.Storage {
			return v.Name
		}
	}
	return ""
}

// needs is what an installation takes of who makes it.
var needs = []authorizationv1.ResourceAttributes{
	{Verb: "create", Resource: "namespaces"},
	{Verb: "create", Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"},
	{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
	{Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
	{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings"},
	{Verb: "create", Group: "apps", Resource: "deployments"},
	{Verb: "create", Group: "networking.k8s.io", Resource: "networkpolicies"},
}

// denied returns what who asks may not do.
func (r Reader) denied(ctx context.Context) ([]string, error) {
	allowed := make([]bool, len(needs))
	g, ctx := errgroup.WithContext(ctx)
	for i, need := range needs {
		g.Go(func() error {
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &need}}
			err := r.Client.Create(ctx, review)
			allowed[i] = review.Status.Allowed
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("asking what you may do: %w", err)
	}
	var out []string
	for i, need := range needs {
		if !allowed[i] {
			out = append(out, need.Verb+" "+need.Resource)
		}
	}
	return out, nil
}

// unlessUnseen is err, but for what is not there, or is not for who asks to see.
func unlessUnseen(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || meta.IsNoMatchError(err) {
		return nil
	}
	return err
}
