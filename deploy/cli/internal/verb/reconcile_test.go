package verb_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"weir.dev/deploy/cli/internal/kinds"
)

// controlled is an object that a controller has, as an API server answers about it.
type controlled struct {
	kind kinds.Kind
	spec map[string]any
	// runs are the statuses that it has after each request, without the token; the last of
	// several comes by itself.
	runs [][]map[string]any

	mu    sync.Mutex
	asked int
	token string
}

// object returns it as it is after a number of changes since it was asked.
func (c *controlled) object(n int) map[string]any {
	status := map[string]any{}
	if c.asked > 0 {
		run := c.runs[c.asked-1]
		for k, v := range run[min(n, len(run)-1)] {
			status[k] = v
		}
		status["lastHandledReconcileAt"] = c.token
		status["observedGeneration"] = 1
	}
	return map[string]any{
		"apiVersion": c.kind.GVK.GroupVersion().String(), "kind": c.kind.GVK.Kind, "spec": c.spec, "status": status,
		"metadata": map[string]any{"name": "one", "namespace": "flux-system", "generation": 1, "resourceVersion": "1", "annotations": map[string]string{"reconcile.fluxcd.io/requestedAt": c.token}},
	}
}

// answer is what the API server says.
func (c *controlled) answer(req *http.Request) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	query := req.URL.Query()
	switch {
	case req.Method == http.MethodPatch:
		var patch struct {
			Metadata struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
		}
		data, err := io.ReadAll(req.Body)
		if err == nil {
			err = json.Unmarshal(data, &patch)
		}
		if err != nil || c.asked == len(c.runs) {
			return refused("this was not to be asked")
		}
		c.asked++
		c.token = patch.Metadata.Annotations["reconcile.fluxcd.io/requestedAt"]
		return c.object(0)
	case query.Get("watch") != "":
		return map[string]any{"type": "MODIFIED", "object": c.object(1)}
	case strings.HasSuffix(req.URL.Path, "/one"):
		return c.object(0)
	}
	return map[string]any{
		"apiVersion": c.kind.GVK.GroupVersion().String(), "kind": c.kind.GVK.Kind + "List",
		"metadata": map[string]any{"resourceVersion": "1"}, "items": []any{c.object(0)},
	}
}

// ready is a status with a condition.
func ready(status, message string, more map[string]any) map[string]any {
	out := map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": status, "reason": "Told", "message": message, "observedGeneration": 1}}}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// serve has an API server answer about objects.
func serve(a *answers, all ...*controlled) {
	for _, c := range all {
		list := "/apis/" + c.kind.GVK.GroupVersion().String() + "/namespaces/flux-system/" + c.kind.Plural
		a.by[list], a.by[list+"/one"] = c.answer, c.answer
	}
}

// TestReconcileWithSourceOfCharts: a chart comes from a repository, whoever names the chart.
func TestReconcileWithSourceOfCharts(t *testing.T) {
	t.Parallel()
	for _, object := range []string{"hr", "source chart"} {
		t.Run(object, func(t *testing.T) {
			t.Parallel()
			of := func(words string, spec map[string]any, status map[string]any) *controlled {
				k, _ := kinds.Find(words)
				return &controlled{kind: k, spec: spec, runs: [][]map[string]any{{ready("True", "", status)}}}
			}
			fetched := func(revision string) map[string]any {
				return map[string]any{"artifact": map[string]any{"revision": revision}, "observedSourceArtifactRevision": "sha256:2", "lastAttemptedRevision": "1.1.0"}
			}
			repository := of("source/helm", map[string]any{}, fetched("sha256:2"))
			chart := of("source/chart", map[string]any{"chart": "app", "sourceRef": map[string]any{"kind": "HelmRepository", "name": "one"}}, fetched("1.1.0"))
			release := of("hr", map[string]any{"chartRef": map[string]any{"kind": "HelmChart", "name": "one"}}, fetched(""))
			a := everyKind()
			serve(a, repository, chart, release)
			code, _, said := weir(t, a, append(append([]string{"reconcile"}, strings.Fields(object)...), "one", "--with-source")...)
			if code != 0 || repository.asked != 1 || chart.asked != 1 {
				t.Errorf("ended with %d after asking the repository %d and the chart %d times: %s", code, repository.asked, chart.asked, said)
			}
			if first, then := strings.Index(said, "run of HelmRepository"), strings.Index(said, "run of HelmChart"); first < 0 || then < first {
				t.Errorf("the chart is asked before its repository: %s", said)
			}
		})
	}
}

// TestReconcileWithSourceWaitsForWhatIsNew: a controller may be asked before it knows what its
// source has fetched, and what it says then is of what was before.
func TestReconcileWithSourceWaitsForWhatIsNew(t *testing.T) {
	t.Parallel()
	at := func(revision string) map[string]any {
		return map[string]any{"lastAppliedRevision": revision, "lastAttemptedRevision": revision}
	}
	const was, is = "main@sha1:1", "main@sha1:2"
	tests := map[string]struct {
		why  string
		runs [][]map[string]any
		code int
		says string
	}{
		"at once":      {runs: [][]map[string]any{{ready("True", "", at(is))}}, says: "applied revision " + is},
		"a bit later":  {why: "it runs again by itself", runs: [][]map[string]any{{ready("True", "", at(was)), ready("True", "", at(is))}}, says: "applied revision " + is},
		"failed then":  {why: "what is new may be what mends it", runs: [][]map[string]any{{ready("False", "it was broken", at(was))}, {ready("True", "", at(is))}}, says: "applied revision " + is},
		"fails now":    {runs: [][]map[string]any{{ready("False", "it is broken", at(is))}}, code: 1, says: "it is broken"},
		"fails before": {why: "it may never get as far as to look at the source", runs: [][]map[string]any{{ready("False", "not ready", at(was))}, {ready("False", "still not ready", at(was))}}, code: 1, says: "still not ready"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ks, _ := kinds.Find("ks")
			git, _ := kinds.Find("source/git")
			app := &controlled{kind: ks, runs: tc.runs, spec: map[string]any{"sourceRef": map[string]any{"kind": "GitRepository", "name": "one"}}}
			source := &controlled{kind: git, runs: [][]map[string]any{{ready("True", "", map[string]any{"artifact": map[string]any{"revision": is}})}}}
			a := everyKind()
			serve(a, app, source)
			code, _, said := weir(t, a, "reconcile", "ks", "one", "--with-source")
			if code != tc.code || !strings.Contains(said, tc.says) || strings.Contains(said, "revision "+was) || app.asked != len(tc.runs) {
				t.Errorf("ended with %d after %d requests and said %q; want %d after %d, and %q (%s)", code, app.asked, said, tc.code, len(tc.runs), tc.says, tc.why)
			}
		})
	}
}
