package installation

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/install"
)

// deployed returns a Deployment of a controller: of weir in a version, or, without one, of
// another distribution.
func deployed(namespace, name, version string) *unstructured.Unstructured {
	d := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{
			map[string]any{"name": "manager", "image": "registry.example.com/weir/" + name + ":" + version},
		}}}},
	}}
	d.SetNamespace(namespace)
	d.SetName(name)
	d.SetLabels(map[string]string{install.LabelPartOf: install.PartOf, install.LabelComponent: name, install.LabelVersion: "v2.9.0"})
	if version != "" {
		d.SetAnnotations(map[string]string{install.VersionAnnotation: version})
	}
	return d
}

func labelled(labels map[string]string) map[string]*apiextensionsv1.CustomResourceDefinition {
	return map[string]*apiextensionsv1.CustomResourceDefinition{
		sourceDefinition: {ObjectMeta: metav1.ObjectMeta{Name: sourceDefinition, Labels: labels}},
	}
}

// brief writes findings as their levels and texts. Whatever is bad must say what to do.
func brief(t *testing.T, findings []Finding) []string {
	t.Helper()
	var out []string
	for _, f := range findings {
		out = append(out, []string{"good: ", "notable: ", "bad: "}[f.Level]+f.Text)
		if f.Level == Bad && f.Do == "" {
			t.Errorf("%q does not say what to do", f.Text)
		}
	}
	return out
}

func TestPrerequisites(t *testing.T) {
	t.Parallel()
	const may = "good: you may do what an installation takes"
	tests := map[string]struct {
		why  string
		in   State
		want []string
	}{
		"all is well":      {in: State{Server: "v1.33.0"}, want: []string{"good: Kubernetes v1.33.0 is 1.33.0 or newer", may}},
		"a distribution":   {why: "clouds add to the version", in: State{Server: "v1.34.1-gke.100"}, want: []string{"good: Kubernetes v1.34.1-gke.100 is 1.33.0 or newer", may}},
		"old":              {in: State{Server: "v1.32.9"}, want: []string{"bad: Kubernetes v1.32.9 is older than 1.33.0", may}},
		"nonsense":         {why: "it may well work", in: State{Server: "main"}, want: []string{`notable: the version of the API server, "main", cannot be read`, may}},
		"few rights":       {in: State{Server: "v1.33.0", Denied: []string{"create namespaces", "bind clusterroles"}}, want: []string{"good: Kubernetes v1.33.0 is 1.33.0 or newer", "bad: you may not create namespaces, bind clusterroles"}},
		"narrow sight":     {why: "there may be an installation that it cannot see", in: State{Server: "v1.33.0", Narrow: true}, want: []string{"good: Kubernetes v1.33.0 is 1.33.0 or newer", may, "bad: you may not see the Deployments of other namespaces"}},
		"managed by Helm":  {in: State{Server: "v1.33.0", Definitions: labelled(map[string]string{labelManagedBy: "Helm"})}, want: []string{"good: Kubernetes v1.33.0 is 1.33.0 or newer", may, "bad: the definitions are managed by Helm"}},
		"managed by it":    {in: State{Server: "v1.33.0", Definitions: labelled(map[string]string{labelManagedBy: "flux"})}, want: []string{"good: Kubernetes v1.33.0 is 1.33.0 or newer", may}},
		"there already is": {in: State{Server: "v1.33.0", Definitions: labelled(nil)}, want: []string{"good: Kubernetes v1.33.0 is 1.33.0 or newer", may}},
	}
	for name, tc := range tests {
		if diff := cmp.Diff(tc.want, brief(t, tc.in.Prerequisites())); diff != "" {
			t.Errorf("%s (-want +got):\n%s%s", name, diff, tc.why)
		}
	}
}

// TestSurroundings: who looks at an installation need not be able to make one.
func TestSurroundings(t *testing.T) {
	t.Parallel()
	s := State{Server: "v1.33.0", Denied: []string{"create namespaces"}, Definitions: labelled(map[string]string{labelManagedBy: "Helm"})}
	want := []string{"good: Kubernetes v1.33.0 is 1.33.0 or newer", "notable: the definitions are managed by Helm"}
	if diff := cmp.Diff(want, brief(t, s.Surroundings())); diff != "" {
		t.Error(diff)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	s := State{Namespace: "flux-system", Deployments: []*unstructured.Unstructured{
		deployed("flux-system", "image-controller", install.Version), deployed("elsewhere", "helm-controller", install.Version),
	}}
	got := s.Missing([]string{"image-reflector-controller", "image-automation-controller", "helm-controller", "notification-controller", "helm-controller"})
	want := []string{"bad: helm-controller: it is missing", "bad: notification-controller: it is missing"}
	if diff := cmp.Diff(want, brief(t, got)); diff != "" {
		t.Error(diff)
	}
}

// TestHiddenDefinitions: what cannot be seen is not missing.
func TestHiddenDefinitions(t *testing.T) {
	t.Parallel()
	s := State{Namespace: "flux-system", Hidden: true, Deployments: []*unstructured.Unstructured{deployed("flux-system", "image-controller", install.Version)}}
	got, err := s.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"notable: you may not see the definitions, so they are not checked"}, brief(t, got)); diff != "" {
		t.Error(diff)
	}
}

func TestDistribution(t *testing.T) {
	t.Parallel()
	const here, v = "flux-system", install.Version
	managed := labelled(map[string]string{kustomizev1.LabelName: "flux-system", kustomizev1.LabelNamespace: "flux-system"})
	tests := map[string]struct {
		why         string
		deployments []*unstructured.Unstructured
		definitions map[string]*apiextensionsv1.CustomResourceDefinition
		want        []string
	}{
		"none":      {want: []string{`bad: there are no controllers in namespace "flux-system"`}},
		"elsewhere": {deployments: []*unstructured.Unstructured{deployed("gitops", "source-controller", v)}, want: []string{`bad: there are no controllers in namespace "flux-system"`}},
		"ours":      {deployments: []*unstructured.Unstructured{deployed(here, "source-controller", v)}, want: []string{"good: weir " + v}},
		"from Git": {
			deployments: []*unstructured.Unstructured{deployed(here, "source-controller", v)}, definitions: managed,
			want: []string{"good: weir " + v, "good: managed from Git by Kustomization flux-system/flux-system"},
		},
		"an older one": {
			deployments: []*unstructured.Unstructured{deployed(here, "source-controller", "v0.0.1")},
			want:        []string{"notable: weir v0.0.1 is installed, and this command is " + v},
		},
		"another distribution": {
			deployments: []*unstructured.Unstructured{deployed(here, "source-controller", ""), deployed(here, "notification-controller", "")},
			want:        []string{"notable: the controllers are those of another distribution, v2.9.0"},
		},
		"both": {
			why:         "they work on the same objects",
			deployments: []*unstructured.Unstructured{deployed(here, "image-controller", v), deployed(here, "image-reflector-controller", "")},
			want:        []string{"bad: controllers of weir and of another distribution run at once: image-reflector-controller"},
		},
		"what may run beside": {
			deployments: []*unstructured.Unstructured{deployed(here, "source-controller", v), deployed(here, "notification-controller", ""), deployed(here, "source-watcher", "")},
			want:        []string{"good: weir " + v},
		},
		"two": {
			deployments: []*unstructured.Unstructured{deployed(here, "source-controller", v), deployed("gitops", "source-controller", v), deployed("gitops", "helm-controller", v)},
			want:        []string{"good: weir " + v, "bad: there are controllers in other namespaces as well: gitops"},
		},
	}
	for name, tc := range tests {
		s := State{Namespace: here, Deployments: tc.deployments, Definitions: tc.definitions}
		if diff := cmp.Diff(tc.want, brief(t, s.Distribution())); diff != "" {
			t.Errorf("%s (-want +got):\n%s%s", name, diff, tc.why)
		}
	}
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	wanted, err := definitionsOf([]string{install.ImageController})
	if err != nil || len(wanted) != 3 {
		t.Fatalf("definitions are %v, %v", wanted, err)
	}
	want := wanted[0]
	served := func(change func(*apiextensionsv1.CustomResourceDefinition)) *apiextensionsv1.CustomResourceDefinition {
		have := want.DeepCopy()
		have.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue}}
		change(have)
		return have
	}
	tests := map[string]struct {
		have *apiextensionsv1.CustomResourceDefinition
		says string
	}{
		"as it should be": {have: served(func(*apiextensionsv1.CustomResourceDefinition) {})},
		"missing":         {says: "it is missing"},
		"too old":         {have: served(func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions[0].Name = "v1alpha1" }), says: "it is too old"},
		"not served":      {have: served(func(c *apiextensionsv1.CustomResourceDefinition) { c.Status.Conditions = nil }), says: "the API server does not serve it"},
		"on its way out":  {have: served(func(c *apiextensionsv1.CustomResourceDefinition) { c.DeletionTimestamp = &metav1.Time{} }), says: "it is being deleted"},
	}
	for name, tc := range tests {
		f := judge(want, tc.have)
		if (f.Level == Bad) != (tc.says != "") || !strings.Contains(f.Text, tc.says) || !strings.HasPrefix(f.Text, want.Name) || (f.Level == Bad && f.Do == "") {
			t.Errorf("%s: %+v; want it to say %q", name, f, tc.says)
		}
	}
}

func TestDeletions(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s := State{Stuck: []Stuck{
		{Name: "Kustomization/apps/late", Finalizers: []string{"finalizers.fluxcd.io"}, Since: now.Add(-time.Hour)},
		{Name: "Kustomization/apps/busy", Finalizers: []string{"finalizers.fluxcd.io"}, Since: now.Add(-time.Minute)},
	}}
	want := []Finding{{
		Level: Bad, Text: "Kustomization/apps/late is being deleted since 2026-01-01T11:00:00Z, and kept by finalizers.fluxcd.io",
		Do: "its controller says why it cannot finish: weir events --for Kustomization/late -n apps",
	}}
	if diff := cmp.Diff(want, s.Deletions(now)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestTended: objects of a namespace are looked after from elsewhere only by a controller of
// theirs that looks at all namespaces.
func TestTended(t *testing.T) {
	t.Parallel()
	const here = "flux-system"
	own := deployed("gitops", "kustomize-controller", "v0.1.0")
	pod, _, _ := unstructured.NestedSlice(own.Object, "spec", "template", "spec", "containers")
	pod[0].(map[string]any)["args"] = []any{"--watch-all-namespaces=false"}
	if err := unstructured.SetNestedSlice(own.Object, pod, "spec", "template", "spec", "containers"); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		deployments []*unstructured.Unstructured
		component   string
		want        bool
	}{
		"of the namespace":       {deployments: []*unstructured.Unstructured{deployed(here, "kustomize-controller", "v0.1.0")}, component: "kustomize-controller"},
		"of another":             {deployments: []*unstructured.Unstructured{deployed("gitops", "kustomize-controller", "v0.1.0")}, component: "kustomize-controller", want: true},
		"another controller":     {deployments: []*unstructured.Unstructured{deployed("gitops", "source-controller", "v0.1.0")}, component: "kustomize-controller"},
		"of another's own only":  {deployments: []*unstructured.Unstructured{own}, component: "kustomize-controller"},
		"nobody knows of a kind": {deployments: []*unstructured.Unstructured{deployed("gitops", "", "v0.1.0")}},
		"another distribution":   {deployments: []*unstructured.Unstructured{deployed("gitops", "helm-controller", "")}, component: "helm-controller", want: true},
	}
	for name, tc := range tests {
		if got := (State{Namespace: here, Deployments: tc.deployments}).tended(tc.component); got != tc.want {
			t.Errorf("%s: %t, want %t", name, got, tc.want)
		}
	}
}
