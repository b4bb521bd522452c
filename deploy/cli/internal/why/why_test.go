package why_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/why"
)

// object reads a Kustomization, or another object, from YAML.
func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}

// kustomization is one in the namespace apps, of which the rest is given.
func kustomization(t *testing.T, name, rest string) *unstructured.Unstructured {
	t.Helper()
	return object(t, "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: "+name+", namespace: apps, generation: 1}\n"+rest)
}

const (
	ready  = "status: {observedGeneration: 1, lastAppliedRevision: r1, conditions: [{type: Ready, status: 'True', observedGeneration: 1, message: fine}]}\n"
	failed = "status: {observedGeneration: -1, conditions: [{type: Ready, status: 'False', observedGeneration: 1, message: broken}]}\n"
)

// TestDependencies: the chain is followed up, around no cycle twice, and says what is wrong.
func TestDependencies(t *testing.T) {
	t.Parallel()
	all := map[types.NamespacedName]*unstructured.Unstructured{}
	for _, obj := range []*unstructured.Unstructured{
		kustomization(t, "app", "spec: {dependsOn: [{name: infra}, {name: none}]}\n"),
		kustomization(t, "infra", "spec: {dependsOn: [{name: crds}, {name: app}]}\n"+failed),
		kustomization(t, "crds", ready),
	} {
		all[types.NamespacedName{Namespace: "apps", Name: obj.GetName()}] = obj
	}
	get := func(_ context.Context, _ string, key types.NamespacedName) (*unstructured.Unstructured, error) {
		return all[key], nil
	}
	got, err := why.Dependencies(t.Context(), all[types.NamespacedName{Namespace: "apps", Name: "app"}], get)
	if err != nil {
		t.Fatal(err)
	}
	want := []why.Dependency{
		{Kind: "Kustomization", Text: "apps/infra", Message: "broken", On: []why.Dependency{
			{Kind: "Kustomization", Text: "apps/crds", Ready: true, Message: "fine"},
			{Kind: "Kustomization", Text: "apps/app", Message: "it depends on itself, by others or at once"},
		}},
		{Kind: "Kustomization", Text: "apps/none", Message: "it does not exist"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(why.Dependency{}, "Name")); diff != "" {
		t.Errorf("dependencies (-want +got):\n%s", diff)
	}
}

func TestDependenciesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	get := func(context.Context, string, types.NamespacedName) (*unstructured.Unstructured, error) {
		return nil, refused
	}
	if _, err := why.Dependencies(t.Context(), kustomization(t, "app", "spec: {dependsOn: [{name: infra}]}\n"), get); !errors.Is(err, refused) {
		t.Errorf("the error is %v, want %v", err, refused)
	}
}

func TestWaits(t *testing.T) {
	t.Parallel()
	source := func(rest string) *unstructured.Unstructured {
		return object(t, "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: fleet, namespace: apps, generation: 1}\n"+rest)
	}
	published := source("status: {observedGeneration: 1, artifact: {revision: r1}, conditions: [{type: Ready, status: 'True', observedGeneration: 1}]}\n")
	newer := source("status: {observedGeneration: 1, artifact: {revision: r2}, conditions: [{type: Ready, status: 'True', observedGeneration: 1}]}\n")
	tests := map[string]struct {
		why    string
		obj    *unstructured.Unstructured
		source *unstructured.Unstructured
		on     []why.Dependency
		want   []string
	}{
		"nothing": {obj: kustomization(t, "app", ready), source: published},
		"the resumption": {
			why: "nothing else matters before that", obj: kustomization(t, "app", "spec: {suspend: true}\n"+failed), source: source(failed),
			want: []string{"to be resumed"},
		},
		"the source": {
			why: "its message is the cause of ours", obj: kustomization(t, "app", failed), source: source(failed),
			want: []string{"GitRepository/apps/fleet: broken"},
		},
		"a new revision": {
			obj: kustomization(t, "app", ready), source: newer,
			want: []string{"its controller, to take revision r2 from GitRepository/apps/fleet"},
		},
		"the next try": {obj: kustomization(t, "app", failed), source: published, want: []string{
			"its controller, to take revision r1 from GitRepository/apps/fleet",
		}},
		"its controller": {obj: kustomization(t, "app", ""), want: []string{"its controller, to act on the present spec"}},
		"a dependency before a revision": {
			why: "the controller looks at no revision before that", obj: kustomization(t, "app", ""), source: newer,
			on: []why.Dependency{{Kind: "Kustomization", Text: "apps/infra", Message: "broken"}}, want: []string{"Kustomization/apps/infra: broken", "its controller, to act on the present spec"},
		},
		"the first of a chain": {
			why: "what waits itself is no cause", obj: kustomization(t, "app", failed),
			on: []why.Dependency{{Kind: "Kustomization", Text: "apps/infra", Message: "waits", On: []why.Dependency{
				{Kind: "Kustomization", Text: "apps/crds", Message: "broken"}, {Kind: "Kustomization", Text: "apps/good", Ready: true},
			}}},
			want: []string{"Kustomization/apps/crds: broken"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := why.Waits(tc.obj, tc.source, tc.on)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("waits for (-want +got): %s\n%s", tc.why, diff)
			}
		})
	}
}

// TestRunOfAKustomization: the last run has its stages in the order in which they happen.
func TestRunOfAKustomization(t *testing.T) {
	t.Parallel()
	obj := kustomization(t, "app", `
status:
  history:
  - {digest: d, firstReconciled: "2026-01-01T00:00:10Z", lastReconciled: "2026-01-01T00:00:10Z", lastReconciledDuration: 2s, lastReconciledStatus: ReconciliationSucceeded, totalReconciliations: 1, metadata: {revision: r1, becomingHealthy: 1.5s, building: 20ms, other: 1s}}
  - {digest: c, firstReconciled: "2026-01-01T00:00:00Z", lastReconciled: "2026-01-01T00:00:00Z", lastReconciledDuration: 1s, lastReconciledStatus: HealthCheckFailed, totalReconciliations: 1, metadata: {revision: r0}}
`)
	at := func(second int) time.Time { return time.Date(2026, 1, 1, 0, 0, second, 0, time.UTC) }
	took := func(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }
	want := &why.Run{
		Revision: "r1", Ended: at(10), Result: "ReconciliationSucceeded", Took: took(2 * time.Second),
		Stages: []why.Stage{{Name: "building", Took: took(20 * time.Millisecond)}, {Name: "becoming healthy", Took: took(1500 * time.Millisecond)}},
	}
	source := func(revision string) *unstructured.Unstructured {
		return object(t, "apiVersion: v1\nkind: GitRepository\nstatus: {artifact: {revision: "+revision+", lastUpdateTime: '2026-01-01T00:00:05Z'}}\n")
	}
	for revision, fetched := range map[string]time.Time{"r1": at(5), "r2": {}} { // r2 is not what was run
		want.Fetched = fetched
		got, err := why.RunOf(obj, source(revision))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with the source at %s, the run (-want +got):\n%s", revision, diff)
		}
	}
	if got, err := why.RunOf(kustomization(t, "new", ""), nil); got != nil || err != nil {
		t.Errorf("of what never ran: %+v, %v", got, err)
	}
}

func TestRunOfARelease(t *testing.T) {
	t.Parallel()
	obj := object(t, `
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: web, namespace: apps}
status:
  lastAttemptedReleaseAction: upgrade
  lastAttemptedReleaseActionDuration: 3s
  history: [{name: web, namespace: apps, version: 2, status: deployed, chartName: web, chartVersion: 1.2.0, lastDeployed: "2026-01-01T00:00:10Z", firstDeployed: "2026-01-01T00:00:00Z"}]
`)
	got, err := why.RunOf(obj, nil)
	if err != nil {
		t.Fatal(err)
	}
	took := metav1.Duration{Duration: 3 * time.Second}
	want := &why.Run{
		Revision: "1.2.0", Ended: time.Date(2026, 1, 1, 0, 0, 10, 0, time.UTC), Result: "deployed as apps/web.v2", Took: took,
		Stages: []why.Stage{{Name: "upgrade", Took: took}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the run (-want +got):\n%s", diff)
	}
}
