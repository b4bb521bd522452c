package await_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/cli/internal/await"
)

// object is a Kustomization in its second generation.
func object(t *testing.T, status string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	text := "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps, namespace: prod, generation: 2}\n" + status
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return u
}

const (
	good   = `{type: Ready, status: "True", reason: Succeeded, message: applied, observedGeneration: 2}`
	bad    = `{type: Ready, status: "False", reason: BuildFailed, message: no such path, observedGeneration: 2}`
	before = `{type: Ready, status: "True", reason: Succeeded, message: applied, observedGeneration: 1}`
)

func TestReady(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, status string
		done        bool
		err, said   string
	}{
		"new":        {why: "nobody has looked at it", status: "status: {observedGeneration: -1}", said: "its controller has not seen the present generation yet"},
		"ready":      {why: "it is what is waited for", status: "status: {observedGeneration: 2, conditions: [" + good + "]}", done: true},
		"stale":      {why: "Ready speaks of what it was before", status: "status: {observedGeneration: 2, conditions: [" + before + "]}", said: "its controller has not finished with the present generation"},
		"retried":    {why: "its controller tries again, so it may become ready", status: "status: {observedGeneration: 1, conditions: [" + bad + "]}", said: "no such path"},
		"stalled":    {why: "it will not get there by itself", status: `status: {observedGeneration: 2, conditions: [` + bad + `, {type: Stalled, status: "True", reason: InvalidPath, message: never}]}`, done: true, err: "no such path"},
		"suspended":  {why: "nobody works on it", status: "spec: {suspend: true}", done: true, err: "it is suspended"},
		"no status":  {why: "a condition without a generation speaks of the observed one", status: `status: {observedGeneration: 2, conditions: [{type: Ready, status: "True", reason: Succeeded}]}`, done: true},
		"unreported": {why: "nobody has reported", status: "status: {observedGeneration: 2}", said: "its controller has not reported on it yet"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, await.Ready(object(t, tc.status)), tc.done, tc.err, tc.said, tc.why)
		})
	}
	check(t, await.Ready(nil), true, await.ErrGone.Error(), "", "it never gets ready")
}

func TestHandled(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, status string
		done        bool
		err, said   string
	}{
		"not yet":   {why: "the outcome is that of an earlier run", status: "status: {observedGeneration: 2, conditions: [" + bad + "]}", said: "its controller has not acted upon the request yet"},
		"well":      {why: "the run is over", status: "status: {observedGeneration: 2, lastHandledReconcileAt: now, conditions: [" + good + "]}", done: true},
		"failed":    {why: "who asked wants to know now, not when it is tried again", status: "status: {observedGeneration: 1, lastHandledReconcileAt: now, conditions: [" + bad + "]}", done: true, err: "no such path"},
		"suspended": {why: "nobody will act", status: "spec: {suspend: true}\nstatus: {observedGeneration: 2}", done: true, err: "it was suspended meanwhile"},
		"goes on":   {why: "the request is seen, the run is not over", status: `status: {observedGeneration: 2, lastHandledReconcileAt: now, conditions: [{type: Ready, status: Unknown, reason: Progressing, message: waiting for health, observedGeneration: 2}, {type: Reconciling, status: "True", reason: Progressing, message: waiting for health}]}`, said: "waiting for health"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, await.Handled("now")(object(t, tc.status)), tc.done, tc.err, tc.said, tc.why)
		})
	}
	overtaken := object(t, "status: {observedGeneration: 2, lastHandledReconcileAt: later, conditions: ["+good+"]}")
	overtaken.SetAnnotations(map[string]string{"reconcile.fluxcd.io/requestedAt": "later"})
	check(t, await.Handled("now")(overtaken), true, "", "", "somebody else has asked, too, and that has been acted upon")
	overtaken.SetAnnotations(map[string]string{"reconcile.fluxcd.io/requestedAt": "now"})
	check(t, await.Handled("now")(overtaken), false, "", "its controller has not acted upon the request yet", "that was an earlier request")
	check(t, await.Handled("now")(nil), true, await.ErrGone.Error(), "", "nobody will act")
}

func TestHandledUpTo(t *testing.T) {
	t.Parallel()
	upTo := func(is bool) await.Condition {
		return await.HandledUpTo("now", func(*unstructured.Unstructured) bool { return is })
	}
	well, failed := object(t, "status: {observedGeneration: 2, lastHandledReconcileAt: now, conditions: ["+good+"]}"), object(t, "status: {observedGeneration: 2, lastHandledReconcileAt: now, conditions: ["+bad+"]}")
	check(t, upTo(true)(well), true, "", "", "the run was with what is new")
	check(t, upTo(false)(well), false, "", "its controller has not seen the new revision of its source yet", "it runs again as soon as it knows")
	check(t, upTo(false)(failed), true, "no such path", "", "whether it gets further than that, nobody knows")
	check(t, upTo(false)(object(t, "status: {observedGeneration: 2}")), false, "", "its controller has not acted upon the request yet", "it was asked first")
}

func TestGone(t *testing.T) {
	t.Parallel()
	check(t, await.Gone(nil), true, "", "", "it is gone")
	there := object(t, "")
	check(t, await.Gone(there), false, "", "it has not been deleted", "it is there")
	going := object(t, "")
	going.Object["metadata"].(map[string]any)["deletionTimestamp"] = "2024-01-01T00:00:00Z"
	going.SetFinalizers([]string{"finalizers.fluxcd.io"})
	check(t, await.Gone(going), false, "", "finalizers keep it: finalizers.fluxcd.io", "who keeps it is what is to be known")
	going.SetFinalizers(nil)
	check(t, await.Gone(going), false, "", "it is being deleted", "nobody keeps it")
	ending := object(t, `status: {conditions: [{type: NamespaceDeletionContentFailure, status: "False", message: deleted}, {type: NamespaceContentRemaining, status: "True", message: "configmaps. has 1 resource instances"}]}`)
	ending.SetDeletionTimestamp(going.GetDeletionTimestamp())
	check(t, await.Gone(ending), false, "", "configmaps. has 1 resource instances", "what is in it keeps a namespace")
}

func check(t *testing.T, got await.Verdict, done bool, err, said, why string) {
	t.Helper()
	text := ""
	if got.Err != nil {
		text = got.Err.Error()
	}
	if got.Done != done || text != err || !got.Done && got.Why != said {
		t.Errorf("verdict %+v; want done %t, error %q, %q (%s)", got, done, err, said, why)
	}
}
