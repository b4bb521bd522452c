package bootstrap

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestReachesRevision(t *testing.T) {
	t.Parallel()
	const source, sync = "kind: GitRepository\nmetadata: {generation: 2}\n", "kind: Kustomization\nmetadata: {generation: 2}\n"
	tests := map[string]struct {
		why    string
		object string
		done   bool
		err    string // of it
		says   string // while it is not
	}{
		"a source at the revision": {
			why: "it is what was waited for", done: true,
			object: source + "status: {observedGeneration: 2, artifact: {revision: r}, conditions: [{type: Ready, status: 'True'}]}",
		},
		"a Kustomization at the revision": {
			why: "the same", done: true,
			object: sync + "status: {observedGeneration: 2, lastAttemptedRevision: r, conditions: [{type: Ready, status: 'True'}]}",
		},
		"nobody has seen it": {why: "its controller starts", object: source, says: "has not reported"},
		"it is Ready in an earlier generation": {
			why: "the URL may be another", says: "has not reported",
			object: source + "status: {observedGeneration: 1, artifact: {revision: r}, conditions: [{type: Ready, status: 'True'}]}",
		},
		"it is at an earlier revision": {
			why: "the run that was asked for is to come", says: "has not reported",
			object: source + "status: {observedGeneration: 2, artifact: {revision: q}, conditions: [{type: Ready, status: 'True'}]}",
		},
		"it is at another revision after the run": {
			why: "the branch has moved", done: true, err: "it is at q",
			object: source + "status: {observedGeneration: 2, lastHandledReconcileAt: now, artifact: {revision: q}, conditions: [{type: Ready, status: 'True'}]}",
		},
		"it failed before the run": {
			why: "that was without the Secret", says: "no secret",
			object: source + "status: {observedGeneration: 2, artifact: {revision: q}, conditions: [{type: Ready, status: 'False', message: no secret}]}",
		},
		"it failed": {
			why: "the reader sees what the source says, and not that time is over", done: true, err: "authentication failed",
			object: source + "status: {observedGeneration: 2, lastHandledReconcileAt: now, conditions: [{type: Ready, status: 'False', message: authentication failed}]}",
		},
		"a Kustomization failed for the first time": {
			why: "it has not got through the generation once, and is tried again", says: "no endpoints",
			object: sync + "status: {observedGeneration: -1, lastHandledReconcileAt: now, conditions: [{type: Ready, status: 'False', message: no endpoints}]}",
		},
		"it finds no artifact": {
			why: "source-controller starts anew, being upgraded", says: "connection refused",
			object: sync + "status: {observedGeneration: 2, lastHandledReconcileAt: now, conditions: [{type: Ready, status: 'False', reason: ArtifactFailed, message: connection refused}]}",
		},
		"it has a source that is none": {
			why: "that does not pass", done: true, err: "no kind of source",
			object: sync + "status: {observedGeneration: 2, lastHandledReconcileAt: now, conditions: [{type: Ready, status: 'False', reason: ArtifactFailed, message: no kind of source}, {type: Stalled, status: 'True'}]}",
		},
		"it is suspended": {why: "it would never get there", done: true, err: "suspended", object: source + "spec: {suspend: true}"},
	}
	for name, tc := range tests {
		obj := &unstructured.Unstructured{}
		data, err := yaml.YAMLToJSON([]byte("apiVersion: v1\n" + tc.object))
		if err := errors.Join(err, obj.UnmarshalJSON(data)); err != nil {
			t.Fatal(err)
		}
		v := reachesRevision("r", "now")(obj)
		if v.Done != tc.done || (v.Err == nil) != (tc.err == "") || v.Err != nil && !strings.Contains(v.Err.Error(), tc.err) || !strings.Contains(v.Why, tc.says) {
			t.Errorf("%s: %+v (%s)", name, v, tc.why)
		}
	}
	if v := reachesRevision("r", "now")(nil); !v.Done || v.Err == nil {
		t.Errorf("of no object: %+v", v)
	}
	var other *otherRevision
	if err := error(&otherRevision{"q"}); !errors.As(err, &other) {
		t.Error("another revision is not told from other errors")
	}
}
