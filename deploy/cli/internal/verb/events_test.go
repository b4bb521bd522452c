package verb_test

import (
	"strings"
	"testing"
)

// TestEventsOfSeveralLines: an event about drift has a line for each field, and all are shown.
func TestEventsOfSeveralLines(t *testing.T) {
	t.Parallel()
	a := everyKind()
	a.by["/api/v1"] = map[string]any{"kind": "APIResourceList", "groupVersion": "v1", "resources": []any{
		map[string]any{"name": "events", "kind": "Event", "namespaced": true, "verbs": []string{"list", "watch"}},
	}}
	a.by["/api/v1/namespaces/flux-system/events"] = map[string]any{"apiVersion": "v1", "kind": "EventList", "metadata": map[string]any{}, "items": []any{
		event("a", "1", "web: replicas, restored\nweb: image, restored\n"), event("b", "2", "then"),
	}}
	code, out, said := weir(t, a, "events", "--no-header")
	got := strings.Split(out, "\n")
	if code != 0 || len(got) != 3 || !strings.HasSuffix(got[0], " web: replicas, restored; web: image, restored") || !strings.HasSuffix(got[1], " then") {
		t.Errorf("ended with %d, printed %q and said %q; want a line for each event, with all of its message", code, out, said)
	}
}
