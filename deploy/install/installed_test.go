package install_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/deploy/install"
)

func TestLooser(t *testing.T) {
	t.Parallel()
	strict := install.Installed{Components: []string{"image-reflector-controller", "notification-controller", "source-controller"}, Shape: &install.Shape{Lockdown: true, NetworkPolicy: true, Shards: []string{"a", "b"}}}
	tests := map[string]struct {
		change func(*install.Options)
		says   []string
	}{
		"as it is":       {change: func(o *install.Options) { o.Lockdown, o.WatchAllNamespaces, o.Shards = true, false, []string{"a", "b"} }},
		"less of it all": {change: func(o *install.Options) { o.NetworkPolicy = false }, says: []string{"lockdown ends", "all namespaces", "NetworkPolicies", "shards a, b"}},
		"fewer shards":   {change: func(o *install.Options) { o.Lockdown, o.WatchAllNamespaces, o.Shards = true, false, []string{"a"} }, says: []string{"shards b"}},
		"tokens of anybody": {change: func(o *install.Options) {
			o.Lockdown, o.WatchAllNamespaces, o.Shards, o.WorkloadIdentity = true, false, []string{"a", "b"}, true
		}, says: []string{"any ServiceAccount"}},
		"no images": {change: func(o *install.Options) {
			o.Lockdown, o.WatchAllNamespaces, o.Shards, o.Components = true, false, []string{"a", "b"}, []string{"source-controller"}
		}, says: []string{"image-controller is left out"}},
	}
	for name, tc := range tests {
		got := options(func(o *install.Options) {
			o.Components = install.All()
			tc.change(o)
		}).Looser(strict)
		if len(got) != len(tc.says) {
			t.Errorf("%s: it says %q", name, got)
			continue
		}
		for i, part := range tc.says {
			if !strings.Contains(got[i], part) {
				t.Errorf("%s: it says %q; want %q", name, got[i], part)
			}
		}
	}
	if got := options(func(*install.Options) {}).Looser(install.Installed{}); got != nil {
		t.Errorf("of nothing that was there: %q", got)
	}
}

// TestShapeReadsBack: what is installed tells all that a later run has to know.
func TestShapeReadsBack(t *testing.T) {
	t.Parallel()
	said := func(string) bool { return false }
	for name, o := range map[string]install.Options{
		"default":  profile(t),
		"lockdown": profile(t, install.ProfileAll, install.ProfileLockdown),
		"sharded":  profile(t, install.ProfileSharded),
		"everything else": options(func(o *install.Options) {
			o.ImagePullSecret, o.NetworkPolicy, o.WatchAllNamespaces, o.WorkloadIdentity = "pull", false, false, true
			o.ClusterDomain, o.TolerationKeys, o.LogLevel, o.EventsAddr = "example.internal", []string{"b.example.com/x", "a"}, "debug", "http://x/"
		}),
	} {
		fresh := options(func(fresh *install.Options) { fresh.Components, fresh.Registry = o.Components, "" })
		if diff := cmp.Diff(o, fresh.Keep(install.Describe(objects(t, o)), said), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-installed +read back):\n%s", name, diff)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	ours := profile(t, install.ProfileSharded)
	ours.EventsAddr = "http://notification-controller/"
	shape := func(shards ...string) *install.Shape {
		return &install.Shape{WatchAllNamespaces: true, NetworkPolicy: true, Shards: shards, ClusterDomain: "cluster.local", LogLevel: "info"}
	}
	foreign := objects(t, profile(t, install.ProfileSharded, install.ProfileLockdown))
	for _, obj := range foreign {
		obj.SetAnnotations(nil)
	}
	beside := find(t, objects(t, profile(t)), "Deployment", "helm-controller")
	beside.SetLabels(map[string]string{"app.kubernetes.io/part-of": "flux", "app.kubernetes.io/component": "notification-controller", "app.kubernetes.io/version": "v2.0.0"})
	beside.SetAnnotations(nil)
	core := []string{"helm-controller", "kustomize-controller", "source-controller"}
	tests := map[string]struct {
		why  string
		in   []*unstructured.Unstructured
		want install.Installed
	}{
		"nothing": {},
		"ours":    {in: objects(t, ours), want: install.Installed{Version: "v1.2.3", Registry: "registry.example.com/weir", Components: core, EventsAddr: ours.EventsAddr, Shape: shape("shard1", "shard2")}},
		"another": {why: "its registry has no images of ours, and shards and a lockdown are by patches", in: foreign, want: install.Installed{Version: "v1.2.3", Foreign: true, Components: core, Shape: shape()}},
		"ours, and what may run beside it": {
			in:   append([]*unstructured.Unstructured{beside}, objects(t, ours)...),
			want: install.Installed{Version: "v1.2.3", Registry: "registry.example.com/weir", Components: append(slices.Clone(core), "notification-controller"), EventsAddr: ours.EventsAddr, Shape: shape("shard1", "shard2")},
		},
	}
	for name, tc := range tests {
		slices.Sort(tc.want.Components)
		if diff := cmp.Diff(tc.want, install.Describe(tc.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s%s", name, diff, tc.why)
		}
	}
}
