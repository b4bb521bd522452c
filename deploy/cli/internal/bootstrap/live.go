package bootstrap

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/cli/internal/installation"
	"weir.dev/deploy/install"
	"weir.dev/pkg/inventory"
)

// Live is what there is in the cluster.
type Live struct {
	// Missing is what keeps a cluster from being installed in.
	Missing []installation.Finding
	// ManagedBy names another program that takes care of the definitions; "" if none.
	ManagedBy string
	// Terminating says that the namespace is being deleted.
	Terminating bool
	// Installed is what the controllers of the namespace tell.
	Installed install.Installed
	// Elsewhere are other namespaces with controllers.
	Elsewhere []string
	// Outdated are definitions whose objects have to be migrated before newer ones can come.
	Outdated []*apiextensionsv1.CustomResourceDefinition
	// Sync and Source are what the cluster follows now; nil if there is none.
	Sync   *Sync
	Source *Source
}

// Sync is the Kustomization by which the cluster follows its repository.
type Sync struct {
	Path                string
	Suspended, Deleting bool
	Inventory           inventory.Set
}

// Source is the GitRepository.
type Source struct {
	URL, Branch         string
	Pinned              string // what it follows in place of a branch; "" if nothing
	Suspended, Deleting bool
}

// follows reports whether the cluster gets what is pushed without anything being applied.
func (l Live) follows(o Options) bool {
	s := l.Source
	return l.Sync != nil && s != nil && s.Pinned == "" && s.URL == o.URL && s.Branch == o.Branch
}

// Look reads what there is in the cluster.
func Look(ctx context.Context, c client.WithWatch, d discovery.ServerVersionInterface, o Options) (Live, error) {
	state, err := installation.Reader{Client: c, Discovery: d}.Look(ctx, o.Install.Namespace)
	if err != nil {
		return Live{}, err
	}
	l := Live{Installed: state.Installed(), Elsewhere: state.Elsewhere(), ManagedBy: managedBy(state)}
	if l.Outdated, _, err = state.Outdated(); err != nil {
		return Live{}, err
	}
	for _, f := range state.Fitness() {
		if f.Level == installation.Bad {
			l.Missing = append(l.Missing, f)
		}
	}
	key := client.ObjectKey{Namespace: o.Install.Namespace, Name: o.Install.Namespace}
	var ns corev1.Namespace
	if there, err := get(ctx, c, client.ObjectKey{Name: o.Install.Namespace}, &ns); err != nil {
		return l, err
	} else if there {
		l.Terminating = ns.DeletionTimestamp != nil
	}
	var ks kustomizev1.Kustomization
	if there, err := get(ctx, c, key, &ks); err != nil {
		return l, err
	} else if there {
		if l.Sync, err = syncOf(&ks); err != nil {
			return l, err
		}
	}
	var repo sourcev1.GitRepository
	if there, err := get(ctx, c, key, &repo); err != nil {
		return l, err
	} else if there {
		l.Source = sourceOf(&repo)
	}
	return l, nil
}

// get reads an object, and reports whether it exists. One of a kind that is not installed
// does not.
func get(ctx context.Context, c client.Reader, key client.ObjectKey, obj client.Object) (bool, error) {
	err := c.Get(ctx, key, obj)
	switch {
	case err == nil:
		return true, nil
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return false, nil
	default:
		return false, fmt.Errorf("reading %T %s: %w", obj, key, err)
	}
}

// managedBy returns the label of the definitions, unless it is ours.
func managedBy(state installation.State) string {
	for _, crd := range state.Definitions {
		if by := crd.Labels["app.kubernetes.io/managed-by"]; by != "" && by != install.PartOf {
			return by
		}
	}
	return ""
}

func syncOf(ks *kustomizev1.Kustomization) (*Sync, error) {
	s := &Sync{
		Suspended: ks.Spec.Suspend, Deleting: ks.DeletionTimestamp != nil,
	}
	var err error
	if s.Path, err = CleanPath(ks.Spec.Path); err != nil {
		s.Path = ks.Spec.Path
	}
	if inv := ks.Status.Inventory; inv != nil {
		if s.Inventory, err = inventory.Decode(inv.Entries); err != nil {
			return nil, fmt.Errorf("the inventory of Kustomization %s/%s: %w", ks.Namespace, ks.Name, err)
		}
	}
	return s, nil
}

func sourceOf(repo *sourcev1.GitRepository) *Source {
	s := &Source{URL: repo.Spec.URL, Suspended: repo.Spec.Suspend, Deleting: repo.DeletionTimestamp != nil}
	if ref := repo.Spec.Reference; ref != nil {
		s.Branch = ref.Branch
		switch {
		case ref.Commit != "":
			s.Pinned = "commit " + ref.Commit
		case ref.Name != "":
			s.Pinned = "ref " + ref.Name
		case ref.SemVer != "":
			s.Pinned = "tags " + ref.SemVer
		case ref.Tag != "":
			s.Pinned = "tag " + ref.Tag
		}
	}
	return s
}
