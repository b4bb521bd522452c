package bootstrap

import (
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/pkg/inventory"
	"weir.dev/pkg/manifest"
)

func TestListed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ list, want string }{
		"as bootstrap writes it":   {listing, "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- gotk-components.yaml\n- gotk-flux.yaml\n- gotk-sync.yaml\n"},
		"deeper":                   {"resources:\n    -  ./gotk-components.yaml\n", "resources:\n    -  ./gotk-components.yaml\n    -  gotk-flux.yaml\n"},
		"in one line":              {"resources: [gotk-components.yaml, gotk-sync.yaml]\n", "resources: [gotk-components.yaml, gotk-flux.yaml, gotk-sync.yaml]\n"},
		"at the end of a line":     {"resources: [ gotk-sync.yaml, gotk-components.yaml ]\n", "resources: [ gotk-sync.yaml, gotk-components.yaml, gotk-flux.yaml ]\n"},
		"without an end":           {"resources:\n- gotk-components.yaml", "resources:\n- gotk-components.yaml\n- gotk-flux.yaml"},
		"with a comment":           {"resources:\n- gotk-components.yaml # ours\n", "resources:\n- gotk-components.yaml # ours\n- gotk-flux.yaml\n"},
		"listed already":           {"resources: [gotk-flux.yaml]\n", "resources: [gotk-flux.yaml]\n"},
		"without our file":         {"resources: [x.yaml]\n", ""},
		"listed as something else": {"resources: [x.yaml]\ncomponents:\n- gotk-components.yaml\n", ""},
		"no YAML":                  {"resources: [\n", ""},
	}
	for name, tc := range tests {
		got, ok := listed([]byte(tc.list), besideFile)
		if ok != (tc.want != "") || ok && string(got) != tc.want {
			t.Errorf("%s: %t, %q; want %q", name, ok, got, tc.want)
		}
	}
}

// definitions returns CRDs of names, as objects and as what a cluster has.
func definitions(names ...string) (objs []*unstructured.Unstructured, had inventory.Set) {
	had = inventory.Set{}
	for _, name := range names {
		obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}}
		obj.SetName(name)
		objs = append(objs, obj)
		had[manifest.IDOf(obj)] = "v1"
	}
	return objs, had
}

func TestMayLeaveOut(t *testing.T) {
	t.Parallel()
	const policies, receivers = "imagepolicies.image.toolkit.fluxcd.io", "receivers.notification.toolkit.fluxcd.io"
	none := []string{}
	tests := map[string]struct {
		why          string
		had          []string
		folder, path []string // nil: the path cannot be built
		force        bool
		refused      bool
	}{
		"nothing is lost":                          {had: []string{policies}, folder: []string{policies}},
		"a controller is left out":                 {why: "its objects would go with their kind", had: []string{policies}, path: none, refused: true},
		"a controller that weir does not have":     {why: "it goes on to work beside", had: []string{receivers}, path: none, refused: true},
		"its manifests are elsewhere in the path":  {why: "the cluster runs from there as well", had: []string{receivers}, path: []string{receivers}},
		"nobody can tell what is in the path":      {why: "it may be gone", had: []string{receivers}, refused: true},
		"somebody insists":                         {had: []string{receivers}, path: none, force: true},
		"the kinds of others are none of our work": {had: []string{"widgets.example.com"}, path: none},
	}
	for name, tc := range tests {
		var o Options
		if tc.force {
			o.Accepted = Reason.Forcible
		}
		_, had := definitions(tc.had...)
		folder, _ := definitions(tc.folder...)
		err := mayLeaveOut(o, Live{Sync: &Sync{Inventory: had}}, folder, func() ([]*unstructured.Unstructured, error) {
			if tc.path == nil {
				return nil, errors.New("there is a key missing")
			}
			all, _ := definitions(tc.path...)
			return all, nil
		})
		var refused *Refusal
		if errors.As(err, &refused) != tc.refused || tc.refused && (refused.Reason != LosesKinds || refused.Next == "") {
			t.Errorf("%s: %v (%s)", name, err, tc.why)
		}
	}
}
