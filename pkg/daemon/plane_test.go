package daemon_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/daemon"
	"weir.dev/pkg/testplane"
)

// TestSelectorIsForReconciledKinds: a shard sees its own objects only, but what
// they refer to may belong to any.
func TestSelectorIsForReconciledKinds(t *testing.T) {
	t.Parallel()
	p := testplane.Start(t)
	interval := metav1.Duration{Duration: time.Hour}
	for name, shard := range map[string]string{"mine": "a", "theirs": "b", "nobodys": ""} {
		meta := metav1.ObjectMeta{Name: name, Labels: map[string]string{"shard": shard}}
		p.Create(&kustomizev1.Kustomization{ObjectMeta: meta, Spec: kustomizev1.KustomizationSpec{
			Interval: interval, Prune: true, SourceRef: kustomizev1.SourceReference{Kind: "GitRepository", Name: name},
		}})
		p.Create(&sourcev1.GitRepository{ObjectMeta: *meta.DeepCopy(), Spec: sourcev1.GitRepositorySpec{URL: "https://example.com/a", Interval: interval}})
	}
	seen := make(chan map[string][]string, 1)
	p.Run("sharded", func(ctx context.Context, d *daemon.Daemon) error {
		d.Kinds = []client.Object{&kustomizev1.Kustomization{}}
		if err := d.Parse(kustomizev1.AddToScheme, sourcev1.AddToScheme); err != nil {
			return err
		}
		look := func(ctx context.Context) error {
			kustomizations, repositories := &kustomizev1.KustomizationList{}, &sourcev1.GitRepositoryList{}
			for _, list := range []client.ObjectList{kustomizations, repositories} {
				if err := d.Client().List(ctx, list); err != nil {
					return err
				}
			}
			names := make(map[string][]string)
			for _, ks := range kustomizations.Items {
				names["Kustomization"] = append(names["Kustomization"], ks.Name)
			}
			for _, repo := range repositories.Items {
				names["GitRepository"] = append(names["GitRepository"], repo.Name)
			}
			slices.Sort(names["GitRepository"])
			seen <- names
			return nil
		}
		if err := d.Manager().Add(manager.RunnableFunc(look)); err != nil {
			return err
		}
		return d.Start(ctx)
	}, "--watch-label-selector=shard=a")
	var got map[string][]string
	p.Eventually("the caches are filled", func() bool {
		select {
		case got = <-seen:
			return true
		default:
			return false
		}
	})
	want := map[string][]string{"Kustomization": {"mine"}, "GitRepository": {"mine", "nobodys", "theirs"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the cache holds (-want +got):\n%s", diff)
	}
}
