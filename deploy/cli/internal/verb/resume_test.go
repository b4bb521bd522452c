package verb_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"weir.dev/deploy/cli/internal/kinds"
)

// suspended has Kustomizations that are as status says, by name, once they are resumed.
func suspended(names []string, status map[string]any) *answers {
	a := everyKind()
	ks, _ := kinds.Find("ks")
	version := ks.GVK.GroupVersion().String()
	list := "/apis/" + version + "/namespaces/flux-system/" + ks.Plural
	object := func(name string) map[string]any {
		return map[string]any{
			"apiVersion": version, "kind": ks.GVK.Kind, "metadata": map[string]any{"name": name, "namespace": "flux-system", "generation": 1, "resourceVersion": "1"},
			"spec": map[string]any{}, "status": status[name],
		}
	}
	for _, name := range names {
		a.by[list+"/"+name] = object(name)
	}
	a.by[list] = func(req *http.Request) any {
		query := req.URL.Query()
		if query.Get("watch") != "" {
			return stays(req.Context().Done())
		}
		var items []any
		for _, name := range names {
			if only := query.Get("fieldSelector"); only == "" || only == "metadata.name="+name {
				items = append(items, object(name))
			}
		}
		return map[string]any{"apiVersion": version, "kind": ks.GVK.Kind + "List", "metadata": map[string]any{"resourceVersion": "1"}, "items": items}
	}
	return a
}

// TestResumeMany: what there was no time to look at is not said to have been waited for.
func TestResumeMany(t *testing.T) {
	t.Parallel()
	const atOnce, more = 100, 3
	var names []string
	status := make(map[string]any)
	for n := range atOnce + more {
		names = append(names, fmt.Sprintf("app-%d", n))
		status[names[n]] = ready("False", "no such path", map[string]any{"observedGeneration": 1})
	}
	code, _, said := weir(t, suspended(names, status), "resume", "ks", "--all", "--timeout", "8s")
	unseen, waited := strings.Count(said, " was not looked at: timed out after 8s\n"), strings.Count(said, ": Kustomization reconciliation failed: waiting for ")
	if code != 1 || unseen != more || waited != atOnce {
		t.Errorf("ended with %d, after waiting for %d and not looking at %d; want %d and %d: %s", code, waited, unseen, atOnce, more, said)
	}
}

// TestResumeAll: what does not get ready takes the time of no other.
func TestResumeAll(t *testing.T) {
	t.Parallel()
	status := map[string]any{
		"broken": ready("False", "no such path", map[string]any{"observedGeneration": 1}),
		"good":   ready("True", "applied", map[string]any{"observedGeneration": 1, "lastAppliedRevision": "main@sha1:1"}),
	}
	const done = "✔ Kustomization good in namespace flux-system: applied revision main@sha1:1\n"
	tests := map[string]struct {
		why    string
		names  []string
		args   string
		says   []string
		denies []string
	}{
		"at the same time": {
			names: []string{"broken", "good"}, args: "--all",
			says: []string{
				"◎ waiting until all 2 are ready\n", "◎ Kustomization broken in namespace flux-system: no such path\n", done,
				"✗ Kustomization broken in namespace flux-system: Kustomization reconciliation failed: waiting for Kustomization/flux-system/broken: timed out after 3s\n",
			},
			denies: []string{"Kustomization good in namespace flux-system: Kustomization reconciliation failed"},
		},
		"one after the other": {
			why: "that was asked for, so the second is not resumed", names: []string{"broken", "good"}, args: "--all --wait",
			says:   []string{"◎ waiting until it is ready\n", "◎ no such path\n", "Kustomization good in namespace flux-system was not resumed: timed out after 3s\n"},
			denies: []string{"Kustomization good in namespace flux-system is resumed"},
		},
		"one": {
			why: "there is no other that it could be", names: []string{"broken"}, args: "--all",
			says: []string{"◎ waiting until it is ready\n", "◎ no such path\n", "✗ Kustomization reconciliation failed: waiting for Kustomization/flux-system/broken: timed out after 3s\n"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, _, said := weir(t, suspended(tc.names, status), append(strings.Fields("resume ks --timeout 3s"), strings.Fields(tc.args)...)...)
			if code != 1 {
				t.Errorf("ended with %d", code)
			}
			for _, want := range tc.says {
				if !strings.Contains(said, want) {
					t.Errorf("said %q; want %q (%s)", said, want, tc.why)
				}
			}
			for _, not := range tc.denies {
				if strings.Contains(said, not) {
					t.Errorf("said %q; not wanted %q (%s)", said, not, tc.why)
				}
			}
		})
	}
}
