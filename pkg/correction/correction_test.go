package correction

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/pkg/apply"
	"weir.dev/pkg/drift"
	"weir.dev/pkg/loop"
	"weir.dev/pkg/manifest"
)

func web() manifest.ID {
	return manifest.ID{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
}

// collect returns the samples of a metric by their labels: values, and of histograms how
// many there were.
func collect(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	ch := make(chan prometheus.Metric, 100)
	c.Collect(ch)
	close(ch)
	out := make(map[string]float64)
	for m := range ch {
		var sample dto.Metric
		if err := m.Write(&sample); err != nil {
			t.Fatal(err)
		}
		key := ""
		for _, l := range sample.GetLabel() {
			key += l.GetName() + "=" + l.GetValue() + " "
		}
		if sample.GetHistogram() != nil {
			out[key] = float64(sample.GetHistogram().GetSampleCount())
		} else {
			out[key] = sample.GetCounter().GetValue()
		}
	}
	return out
}

func TestDriftIsCountedByKindAndManager(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	m.restored(Finding{ID: web(), Taken: []drift.Change{{Path: "spec.replicas", Manager: "kubectl-edit"}, {Path: "spec.paused", Manager: "kubectl-edit"}}}, time.Second)
	m.restored(Finding{ID: web(), Taken: []drift.Change{{Path: "spec.replicas", Manager: "kubectl-edit"}, {Path: "spec.paused", Manager: "bot"}}}, time.Second)
	m.restored(Finding{ID: web(), Taken: []drift.Change{{Path: "spec.replicas"}}}, 0)
	m.restored(Finding{ID: web()}, time.Second)
	want := map[string]float64{
		"kind=Deployment manager=kubectl-edit ": 2, "kind=Deployment manager=bot ": 1, "kind=Deployment manager=unknown ": 2,
	}
	if diff := cmp.Diff(want, collect(t, m.drift)); diff != "" {
		t.Errorf("weir_drift_total (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"": 3}, collect(t, m.restore)); diff != "" {
		t.Errorf("weir_drift_restore_seconds, of which one was not timed (-want +got):\n%s", diff)
	}
}

// TestTwoExaminers: the names of metrics are taken once a process.
func TestTwoExaminers(t *testing.T) {
	t.Parallel()
	if one, two := New("a"), New("b"); one.metrics != two.metrics {
		t.Error("two examiners count for themselves")
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 2, 13, 7, 0, time.UTC)
	scaled := drift.Change{Path: "spec.replicas", From: "2", To: "5", Manager: "kubectl-scale", Time: at}
	removed := drift.Change{Path: "spec.paused", From: "true"}
	const object = "Deployment/shop/web"
	tests := map[string]struct {
		why  string
		got  loop.Event
		want loop.Event
	}{
		"deleted": {
			why: "nobody is told to have done it", got: Finding{ID: web()}.Corrected("Corrected"),
			want: loop.Event{Reason: "Corrected", Message: object + ": deleted, restored", Metadata: map[string]string{MetaObject: object}},
		},
		"changed and changed back": {
			why: "there is nothing left to explain", got: Finding{ID: web(), Existed: true}.Corrected("Corrected"),
			want: loop.Event{Reason: "Corrected", Message: object + ": changed, restored", Metadata: map[string]string{MetaObject: object}},
		},
		"two fields": {
			why: "each value has a line for each field", got: Finding{ID: web(), Existed: true, Taken: []drift.Change{removed, scaled}}.Corrected("Corrected"),
			want: loop.Event{
				Reason:  "Corrected",
				Message: object + ": " + removed.String() + ", restored\n" + object + ": spec.replicas 2 -> 5 by kubectl-scale at 02:13:07Z, restored",
				Metadata: map[string]string{
					MetaObject: object, MetaField: "spec.paused\nspec.replicas", MetaFrom: "true\n2", MetaTo: "\n5",
					MetaManager: "\nkubectl-scale", MetaTime: "\n2026-03-04T02:13:07Z",
				},
			},
		},
		"only noticed": {
			why: "a user should look", got: Finding{ID: web(), Existed: true, Taken: []drift.Change{scaled}}.Detected("Detected"),
			want: loop.Event{
				Warning: true, Reason: "Detected", Message: object + ": spec.replicas 2 -> 5 by kubectl-scale at 02:13:07Z",
				Metadata: map[string]string{
					MetaObject: object, MetaField: "spec.replicas", MetaFrom: "2", MetaTo: "5", MetaManager: "kubectl-scale", MetaTime: "2026-03-04T02:13:07Z",
				},
			},
		},
	}
	for name, tc := range tests {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s (-want +got), %s:\n%s", name, tc.why, diff)
		}
	}
}

func TestContested(t *testing.T) {
	t.Parallel()
	f := Finding{ID: web(), Pauses: []drift.Pause{
		{Times: 5, For: 5 * time.Second},
		{Change: drift.Change{Path: "spec.replicas", From: "2", To: "5", Manager: "bot"}, Times: 6, For: 10 * time.Second},
	}}
	want := []loop.Event{
		{Warning: true, Reason: "Contested", Message: "Deployment/shop/web: deleted or taken over at once each time, restored 5 times, now left alone for 5s", Metadata: map[string]string{}},
		{Warning: true, Reason: "Contested", Message: "Deployment/shop/web: spec.replicas 2 -> 5 by bot, taken back at once each time, restored 6 times, now left alone for 10s", Metadata: map[string]string{}},
	}
	if diff := cmp.Diff(want, f.Contested("Contested")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestExamine(t *testing.T) {
	t.Parallel()
	object := func(replicas int64, owner string) *unstructured.Unstructured {
		obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "spec": map[string]any{"replicas": replicas}}}
		obj.SetManagedFields([]metav1.ManagedFieldsEntry{{
			Manager: owner, Operation: metav1.ManagedFieldsOperationApply, APIVersion: "apps/v1",
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`),
		}})
		return obj
	}
	e := New("engine")
	c := apply.Change{ID: web(), Before: object(5, "night-shift"), Live: object(2, "engine")}
	got := e.Detected(t.Context(), c)
	if len(got.Taken) != 1 || !got.Existed || got.Taken[0].String() != "spec.replicas 2 -> 5 by night-shift" && got.Taken[0].Manager != "night-shift" {
		t.Errorf("found %+v; want what the night shift did to spec.replicas", got)
	}
	c.Before = nil
	if got := e.Detected(t.Context(), c); got.Existed || got.Taken != nil {
		t.Errorf("found %+v of an object that was deleted; want no field", got)
	}
}

// TestHiding: what is not to be shown is hidden before a value is shortened.
func TestHiding(t *testing.T) {
	t.Parallel()
	object := func(value, owner string) *unstructured.Unstructured {
		obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"url": value}}}
		obj.SetManagedFields([]metav1.ManagedFieldsEntry{{
			Manager: owner, Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1",
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:data":{"f:url":{}}}`),
		}})
		return obj
	}
	secret := strings.Repeat("<s3cret>", 8)
	mask := func(text string) string { return strings.ReplaceAll(text, secret, "***") }
	long := strings.Repeat("x", 70)
	c := apply.Change{ID: manifest.ID{Kind: "ConfigMap", Name: "a"}, Before: object("changed", "night-shift"), Live: object(long+secret, "engine")}
	e := New("engine")
	got := e.Hiding(mask).Detected(t.Context(), c)
	if len(got.Taken) != 1 || got.Taken[0].From != `"`+long+`***"` || got.Taken[0].To != `"changed"` {
		t.Errorf("found %+v; want the secret to be hidden, and nothing else", got.Taken)
	}
	if got := e.Detected(t.Context(), c); strings.Contains(got.Taken[0].From, "***") {
		t.Errorf("found %+v by one who hides nothing", got.Taken)
	}
}
