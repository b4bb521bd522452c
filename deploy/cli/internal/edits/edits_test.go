package edits_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/deploy/cli/internal/edits"
	"weir.dev/pkg/correction"
	"weir.dev/pkg/drift"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/manifest"
)

// noon is when events were seen.
func noon() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

// eventOf is an event as the recorder of a Kustomization writes it.
func eventOf(e loop.Event) *corev1.Event {
	out := &corev1.Event{
		Reason: e.Reason, Message: e.Message,
		InvolvedObject: corev1.ObjectReference{APIVersion: kustomizev1.GroupVersion.String(), Kind: "Kustomization", Namespace: "flux-system", Name: "apps"},
		ObjectMeta:     metav1.ObjectMeta{Annotations: map[string]string{}},
	}
	for key, value := range e.Metadata {
		out.Annotations[kustomizev1.GroupVersion.Group+"/"+key] = value
	}
	return out
}

// TestOfEvent reads what controllers write.
func TestOfEvent(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 2, 13, 7, 0, time.UTC)
	web := manifest.ID{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
	changed := correction.Finding{ID: web, Existed: true, Taken: []drift.Change{
		{Path: "spec.paused", To: "true", Manager: "kubectl-edit", Time: at},
		{Path: "spec.replicas", From: "2"},
	}}
	contested := correction.Finding{ID: web, Existed: true, Pauses: []drift.Pause{{Change: changed.Taken[0], Times: 5, For: 5 * time.Second}}}
	base := edits.Edit{Object: "Deployment/shop/web", Owner: "Kustomization/flux-system/apps", Seen: noon()}
	with := func(change func(*edits.Edit)) edits.Edit {
		e := base
		change(&e)
		return e
	}
	both := func(o edits.Outcome) []edits.Edit {
		return []edits.Edit{
			with(func(e *edits.Edit) {
				e.Outcome, e.Field, e.To, e.Manager, e.Time = o, "spec.paused", "true", "kubectl-edit", at
			}),
			with(func(e *edits.Edit) { e.Outcome, e.Field, e.From = o, "spec.replicas", "2" }),
		}
	}
	tests := map[string]struct {
		event loop.Event
		want  []edits.Edit
	}{
		"fields that were restored": {changed.Corrected("DriftCorrected"), both(edits.Restored)},
		"fields that were left":     {changed.Detected("DriftDetected"), both(edits.Reported)},
		"an object that was deleted": {
			correction.Finding{ID: web}.Corrected("DriftCorrected"),
			[]edits.Edit{with(func(e *edits.Edit) { e.Outcome, e.What = edits.Restored, "deleted" })},
		},
		"an object that was changed, and changed back": {
			correction.Finding{ID: web, Existed: true}.Corrected("DriftCorrected"),
			[]edits.Edit{with(func(e *edits.Edit) { e.Outcome, e.What = edits.Restored, "changed" })},
		},
		"a fight": {
			contested.Contested("DriftContested")[0],
			[]edits.Edit{with(func(e *edits.Edit) {
				e.Outcome, e.Field, e.To, e.Manager, e.Time = edits.Contested, "spec.paused", "true", "kubectl-edit", at
				e.What = "taken back at once each time, restored 5 times, now left alone for 5s"
			})},
		},
		"a fight over the object": {
			correction.Finding{ID: web, Pauses: []drift.Pause{{Times: 5, For: 5 * time.Second}}}.Contested("DriftContested")[0],
			[]edits.Edit{with(func(e *edits.Edit) {
				e.Outcome, e.What = edits.Contested, "deleted or taken over at once each time, restored 5 times, now left alone for 5s"
			})},
		},
		"the last of many": {
			loop.Event{Reason: "DriftCorrected", Message: "(combined from similar events): " + changed.Corrected("DriftCorrected").Message},
			both(edits.Restored),
		},
		"a value like a change": {
			loop.Event{Reason: "DriftDetected", Message: `Deployment/shop/web: metadata.labels.a "x by y" -> nothing by somebody unknown`},
			[]edits.Edit{with(func(e *edits.Edit) { e.Outcome, e.Field, e.From = edits.Reported, "metadata.labels.a", `"x by y"` })},
		},
		"of the day before": {
			loop.Event{Reason: "DriftDetected", Message: `Deployment/shop/web: spec.paused nothing -> true by bot at 23:59:00Z`},
			[]edits.Edit{with(func(e *edits.Edit) {
				e.Outcome, e.Field, e.To, e.Manager, e.Time = edits.Reported, "spec.paused", "true", "bot", time.Date(2025, 12, 31, 23, 59, 0, 0, time.UTC)
			})},
		},
		"something else": {loop.Event{Reason: "Progressing", Message: "Deployment/shop/web configured"}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, edits.OfEvent(eventOf(tc.event), noon())); diff != "" {
				t.Errorf("edits (-want +got):\n%s", diff)
			}
		})
	}
}

// live is an object with managedFields.
func live(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
		t.Fatal(err)
	}
	return obj
}

// TestStanding: what only a person owns is told, and neither what a controller owns as well,
// nor what a part of the cluster has written, nor the value of a Secret.
func TestStanding(t *testing.T) {
	t.Parallel()
	obj := live(t, `
apiVersion: v1
kind: Secret
metadata:
  name: login
  namespace: shop
  annotations: {kustomize.toolkit.fluxcd.io/ssa: Merge}
  labels: {team: web, by: hand, auto: "yes"}
  managedFields:
  - {manager: kustomize-controller, operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:metadata": {"f:labels": {"f:team": {}}}}}
  - {manager: kubectl-edit, operation: Update, apiVersion: v1, time: "2026-01-01T12:00:00Z", fieldsType: FieldsV1, fieldsV1: {"f:metadata": {"f:labels": {"f:team": {}, "f:by": {}}}, "f:data": {"f:password": {}}}}
  - {manager: reloader-controller, operation: Update, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:metadata": {"f:labels": {"f:auto": {}}}}}
data: {password: c2VjcmV0LXZhbHVl}
`)
	got, err := edits.Standing(obj, "Kustomization/flux-system/apps")
	if err != nil {
		t.Fatal(err)
	}
	base := edits.Edit{Object: "Secret/shop/login", Owner: "Kustomization/flux-system/apps", Manager: "kubectl-edit", Time: noon(), Outcome: edits.Left}
	password, by := base, base
	password.Field, password.To = "data.password", "***"
	by.Field, by.To = "metadata.labels.by", `"hand"`
	equalTimes := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	if diff := cmp.Diff([]edits.Edit{password, by}, got, equalTimes); diff != "" {
		t.Errorf("edits (-want +got):\n%s", diff)
	}
}

// TestByHand: what works in a cluster has a name that says so, more or less.
func TestByHand(t *testing.T) {
	t.Parallel()
	for manager, want := range map[string]bool{
		"kubectl-edit": true, "kubectl": true, "k9s": true, "helm": true, "Mozilla": true, "node-fetch": true,
		"": false, "kubelet": false, "kube-controller-manager": false, "kustomize-controller": false, "cert-manager-cainjector": false, "cilium-operator-generic": false,
	} {
		if got := edits.ByHand(manager); got != want {
			t.Errorf("ByHand(%q) = %t, want %t", manager, got, want)
		}
	}
}

// TestSort: edits are in the order in which they were made, each once.
func TestSort(t *testing.T) {
	t.Parallel()
	hour := func(n int) time.Time { return noon().Add(time.Duration(n) * time.Hour) }
	all := []edits.Edit{
		{Object: "seen later", Seen: hour(1)}, {Object: "made", Time: noon(), Seen: hour(2)}, {Object: "unknown"},
		{Object: "left", Field: "a", To: "1", Time: hour(3), Outcome: edits.Left}, {Object: "left", Field: "a", From: "0", To: "1", Time: hour(3), Seen: hour(4), Outcome: edits.Reported},
		{Object: "deleted", What: "deleted", Seen: hour(5), Outcome: edits.Restored}, {Object: "deleted", What: "deleted", Seen: hour(6), Outcome: edits.Restored},
	}
	want := []edits.Edit{all[2], all[1], all[0], all[4], all[5], all[6]}
	if diff := cmp.Diff(want, edits.Sort(all)); diff != "" {
		t.Errorf("edits (-want +got):\n%s", diff)
	}
}
