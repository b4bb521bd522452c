package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"

	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, in string
		want    []string
		err     string
	}{
		"nothing":          {in: ""},
		"only comments":    {in: "---\n# Source: a/b.yaml\n---\n"},
		"two documents":    {in: "---\n# Source: a\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\n", want: []string{"ConfigMap/a", "Secret/b"}},
		"a list":           {in: "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n", want: []string{"ConfigMap/a", "ConfigMap/b"}},
		"a key twice":      {why: "Helm takes the last", in: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nmetadata: {name: b}\n", want: []string{"ConfigMap/b"}},
		"JSON":             {in: `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}`, want: []string{"ConfigMap/a"}},
		"no kind":          {why: "it may be a Secret", in: "apiVersion: v1\ndata: {password: topsecret}\n", err: "document 1 of the manifest: is no Kubernetes object"},
		"no version":       {in: "kind: Secret\ndata: {password: topsecret}\n", err: "apiVersion or kind is missing"},
		"no such item":     {in: "apiVersion: v1\nkind: List\nitems:\n- {data: {password: topsecret}}\n", err: "is no Kubernetes object"},
		"no YAML":          {in: "---\na: b\n---\na: b: topsecret\n", err: "document"},
		"no object at all": {in: "topsecret\n", err: "document 1"},
	}
	for name, tc := range tests {
		objs, err := decode(strings.NewReader(tc.in))
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), "topsecret") {
				t.Errorf("%s: the error is %v; want it to say %q, and nothing that is secret (%s)", name, err, tc.err, tc.why)
			}
			continue
		}
		var got []string
		for _, obj := range objs {
			got = append(got, manifest.IDOf(obj).String())
		}
		if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, (-want +got), %s:\n%s", name, err, tc.why, diff)
		}
	}
}

// infoOf makes an object of a kind from its metadata.
func infoOf(apiVersion, kind string, annotations map[string]string) *resource.Info {
	obj := &unstructured.Unstructured{}
	obj.SetAPIVersion(apiVersion)
	obj.SetKind(kind)
	obj.SetNamespace("ns")
	obj.SetName("x")
	obj.SetAnnotations(annotations)
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	return &resource.Info{
		Mapping:   &meta.RESTMapping{GroupVersionKind: gvk, Resource: gvk.GroupVersion().WithResource(strings.ToLower(kind) + "s"), Scope: meta.RESTScopeNamespace},
		Namespace: "ns", Name: "x", Object: obj,
	}
}

func TestOwnership(t *testing.T) {
	t.Parallel()
	const name, namespace = annotationReleaseName, annotationReleaseNamespace
	tests := map[string]struct {
		annotations                   map[string]string
		claimed, others, keep, isHook bool
	}{
		"nobody's":           {},
		"the release's":      {annotations: map[string]string{name: "rel", namespace: "ns"}, claimed: true},
		"another release's":  {annotations: map[string]string{name: "other", namespace: "ns"}, claimed: true, others: true},
		"of its name":        {annotations: map[string]string{name: "rel", namespace: "other"}, claimed: true, others: true},
		"kept":               {annotations: map[string]string{kube.ResourcePolicyAnno: " Keep "}, keep: true},
		"of another policy":  {annotations: map[string]string{kube.ResourcePolicyAnno: "other"}},
		"of a hook":          {annotations: map[string]string{"helm.sh/hook": "pre-install"}, isHook: true},
		"of a hook, claimed": {annotations: map[string]string{"helm.sh/hook": "pre-install", name: "rel", namespace: "ns"}, isHook: true},
	}
	for what, tc := range tests {
		info := infoOf("v1", "ConfigMap", tc.annotations)
		obj := info.Object.(*unstructured.Unstructured)
		got := []bool{claimed(obj), others(obj, types.NamespacedName{Namespace: "ns", Name: "rel"}), keep(obj), isHook(info)}
		if diff := cmp.Diff([]bool{tc.claimed, tc.others, tc.keep, tc.isHook}, got); diff != "" {
			t.Errorf("%s: claimed, others, keep, isHook (-want +got):\n%s", what, diff)
		}
	}
}

func TestWatched(t *testing.T) {
	t.Parallel()
	paused := infoOf("apps/v1", "Deployment", nil)
	if err := unstructured.SetNestedField(paused.Object.(*unstructured.Unstructured).Object, true, "spec", "paused"); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		info              *resource.Info
		without, withJobs bool
	}{
		"a ConfigMap":            {info: infoOf("v1", "ConfigMap", nil)},
		"a Deployment":           {info: infoOf("apps/v1", "Deployment", nil), without: true, withJobs: true},
		"a paused Deployment":    {info: paused},
		"a Job":                  {info: infoOf("batch/v1", "Job", nil), withJobs: true},
		"a Job of somebody else": {info: infoOf("example.com/v1", "Job", nil), without: true, withJobs: true},
	}
	for name, tc := range tests {
		if got := watched(tc.info, false); got != tc.without {
			t.Errorf("%s is waited for: %t; want %t", name, got, tc.without)
		}
		if got := watched(tc.info, true); got != tc.withJobs {
			t.Errorf("%s is waited for, with Jobs: %t; want %t", name, got, tc.withJobs)
		}
	}
}

// TestEnded: what was not told yet is not gone.
func TestEnded(t *testing.T) {
	t.Parallel()
	id := manifest.ID{Kind: "Pod", Namespace: "ns", Name: "x"}
	tests := map[string]struct {
		why    string
		told   []health.Status
		failed bool
	}{
		"nothing is known":  {told: []health.Status{health.Unknown, health.Unknown}},
		"it is yet to come": {why: "a list may be from before its creation", told: []health.Status{health.NotFound, health.NotFound}},
		"it runs":           {told: []health.Status{health.NotFound, health.InProgress, health.InProgress}},
		"it fails":          {told: []health.Status{health.InProgress, health.Failed}, failed: true},
		"it fails at once":  {told: []health.Status{health.Failed}, failed: true},
		"it is deleted":     {told: []health.Status{health.InProgress, health.NotFound}, failed: true},
	}
	for name, tc := range tests {
		seen := make(map[manifest.ID]bool)
		var err error
		for _, status := range tc.told {
			err = ended([]health.Verdict{{ID: id, Status: status}}, seen)
		}
		if failed := errors.Is(err, errEnded); failed != tc.failed {
			t.Errorf("%s: it has failed: %t; want %t (%s)", name, failed, tc.failed, tc.why)
		}
	}
}

func TestExisting(t *testing.T) {
	t.Parallel()
	id := func(name string) manifest.ID { return manifest.ID{Kind: "Pod", Name: name} }
	awaited := []health.Awaited{{ID: id("healthy")}, {ID: id("gone")}, {ID: id("going")}, {ID: id("unknown")}}
	got := existing(awaited, []health.Verdict{
		{ID: id("gone"), Status: health.NotFound}, {ID: id("going"), Status: health.Terminating}, {ID: id("unknown")},
	})
	want := []health.Verdict{{ID: id("healthy"), Status: health.Current}, {ID: id("going"), Status: health.Terminating}, {ID: id("unknown")}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what exists (-want +got):\n%s", diff)
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	info := infoOf("v1", "Secret", nil)
	obj := info.Object.(*unstructured.Unstructured)
	obj.Object["data"] = map[string]any{"a": "dG9wc2VjcmV0", "short": "YQ=="}
	obj.Object["stringData"] = map[string]any{"b": "two\nlines", "n": int64(12345)}
	other := infoOf("v1", "ConfigMap", nil)
	other.Object.(*unstructured.Unstructured).Object["data"] = map[string]any{"c": "public"}
	m := maskOf(kube.ResourceList{info, other})
	tests := map[string]string{
		"it is topsecret":         "it is ***",
		"it is dG9wc2VjcmV0":      "it is ***",
		`it is "two\nlines"`:      `it is "***"`,
		"it is two\nlines":        "it is ***",
		"it is 12345":             "it is ***",
		"a public value of a key": "a public value of a key",
	}
	for in, want := range tests {
		if got := m.Text(in); got != want {
			t.Errorf("%q is told as %q; want %q", in, got, want)
		}
	}
}

// TestLegacyLook: what was ready is looked at again when all else is.
func TestLegacyLook(t *testing.T) {
	t.Parallel()
	a, b, c := &resource.Info{Name: "a"}, &resource.Info{Name: "b"}, &resource.Info{Name: "c"}
	for _, info := range []*resource.Info{a, b, c} {
		info.Mapping = &meta.RESTMapping{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Pod"}}
	}
	state := map[string]bool{"a": true}
	var looked []string
	l := &legacy{all: kube.ResourceList{a, b, c}, faults: make(map[*resource.Info]int), is: func(info *resource.Info) (bool, error) {
		looked = append(looked, info.Name)
		return state[info.Name], nil
	}}
	l.open = l.all
	steps := []struct {
		change func()
		ready  bool
		looked string
	}{
		{change: func() {}, looked: "a b"},
		{change: func() { state["b"] = true }, looked: "b c"},
		{change: func() { state["c"], state["a"] = true, false }, looked: "c a"},
		{change: func() { state["a"] = true }, ready: true, looked: "a b c"},
	}
	for i, step := range steps {
		looked = nil
		step.change()
		ready, err := l.look()
		if ready != step.ready || err != nil || strings.Join(looked, " ") != step.looked {
			t.Errorf("look %d: %t, %v after looks at %v; want %t after %s", i, ready, err, looked, step.ready, step.looked)
		}
	}
}

func TestLegacyFaults(t *testing.T) {
	t.Parallel()
	status := func(code int32) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Reason: metav1.StatusReasonUnknown}}
	}
	tests := map[string]struct {
		err   error
		after int // how many looks it ends
	}{
		"a broken connection": {err: errors.New("broken"), after: maxFaults + 1},
		"too much to do":      {err: status(http.StatusTooManyRequests), after: maxFaults + 1},
		"a fault":             {err: fmt.Errorf("looking: %w", status(http.StatusInternalServerError)), after: maxFaults + 1},
		"it is gone":          {err: status(http.StatusNotFound), after: 1},
		"no such method":      {err: status(http.StatusNotImplemented), after: 1},
		"a Job that failed":   {err: errors.New("job is failed: ns/x"), after: 1},
	}
	for name, tc := range tests {
		info := infoOf("v1", "Pod", nil)
		l := &legacy{all: kube.ResourceList{info}, open: kube.ResourceList{info}, faults: make(map[*resource.Info]int),
			is: func(*resource.Info) (bool, error) { return false, tc.err }}
		n := 0
		for err := error(nil); err == nil && n < 2*maxFaults; n++ {
			_, err = l.look()
		}
		if n != tc.after {
			t.Errorf("%s: given up after %d looks; want %d", name, n, tc.after)
		}
	}
}

func TestWaitsTell(t *testing.T) {
	t.Parallel()
	var w Waits
	owner := types.NamespacedName{Namespace: "ns", Name: "a"}
	if w.Tell(owner) {
		t.Error("somebody was told, and nobody waits")
	}
	told, quit := w.join(owner)
	for range 2 {
		if !w.Tell(owner) || len(told) != 1 {
			t.Error("who waits was not told, or more than once")
		}
	}
	if w.Tell(types.NamespacedName{Namespace: "ns", Name: "b"}) {
		t.Error("another owner's action was told")
	}
	_, later := w.join(owner)
	quit()
	if !w.Tell(owner) {
		t.Error("the end of a wait has ended one that began later")
	}
	later()
	if w.Tell(owner) {
		t.Error("somebody was told after the end of the wait")
	}
}

func TestIsVersion(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/api/v1": true, "/apis/apps/v1": true, "/prefix/apis/apps/v1": true,
		"/api": false, "/apis": false, "/apis/apps": false, "/version": false,
		"/api/v1/namespaces": false, "/api/v1/namespaces/api/configmaps": false, "/apis/apps/v1/deployments": false,
	} {
		if got := isVersion(path); got != want {
			t.Errorf("%s is a version of an API: %t; want %t", path, got, want)
		}
	}
}

// TestAbsent: it is as an API server says it, but nobody is asked.
func TestAbsent(t *testing.T) {
	t.Parallel()
	client, err := absent()
	if err != nil {
		t.Fatal(err)
	}
	info := infoOf("v1", "ConfigMap", nil)
	if _, err := resource.NewHelper(client, info.Mapping).Get("ns", "x"); !apierrors.IsNotFound(err) {
		t.Errorf("the error is %v; want NotFound", err)
	}
}
