package verb

import (
	"testing"

	"weir.dev/deploy/cli/internal/edits"
	"weir.dev/pkg/manifest"
)

// TestEditsOf: what is named is what was changed, or what applies it.
func TestEditsOf(t *testing.T) {
	t.Parallel()
	edit := edits.Edit{Object: "Deployment/shop/web", Owner: "Kustomization/flux-system/apps"}
	cluster := edits.Edit{Object: "ClusterRole/web", Owner: "Kustomization/flux-system/apps"}
	deployment := manifest.ID{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
	kustomization := manifest.ID{Group: "kustomize.toolkit.fluxcd.io", Kind: "Kustomization", Namespace: "flux-system", Name: "apps"}
	as := func(id manifest.ID, change func(*manifest.ID)) manifest.ID { change(&id); return id }
	tests := map[string]struct {
		id         manifest.ID
		everywhere bool
		edit       edits.Edit
		want       bool
	}{
		"the object":             {id: deployment, edit: edit, want: true},
		"in any namespace":       {id: as(deployment, func(id *manifest.ID) { id.Namespace = "x" }), everywhere: true, edit: edit, want: true},
		"in another namespace":   {id: as(deployment, func(id *manifest.ID) { id.Namespace = "x" }), edit: edit},
		"of another name":        {id: as(deployment, func(id *manifest.ID) { id.Name = "we" }), everywhere: true, edit: edit},
		"of another kind":        {id: as(deployment, func(id *manifest.ID) { id.Kind = "Deploy" }), everywhere: true, edit: edit},
		"what applies it":        {id: kustomization, edit: edit, want: true},
		"what applies others":    {id: as(kustomization, func(id *manifest.ID) { id.Name = "infra" }), edit: edit},
		"one in no namespace":    {id: manifest.ID{Kind: "ClusterRole", Name: "web"}, edit: cluster, want: true},
		"and wherever it may be": {id: manifest.ID{Kind: "ClusterRole", Name: "web"}, everywhere: true, edit: cluster, want: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := editsOf(tc.id, tc.everywhere)(tc.edit); got != tc.want {
				t.Errorf("chosen: %t, want %t", got, tc.want)
			}
		})
	}
}
