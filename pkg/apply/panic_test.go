package apply_test

import (
	"net/http"
	"strings"
	"testing"

	"weir.dev/pkg/apply"
)

// TestPanicIsAnError: what one object does to the code must not end the process for all.
func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	objs := c.several("")
	bad := func(req *http.Request) error {
		if strings.Contains(req.URL.Path, "/ingresses/") {
			panic("do-not-tell")
		}
		return nil
	}
	c.before = bad
	_, err := c.engine.Apply(t.Context(), c.plan(objs...), apply.Request{})
	if err == nil || !strings.Contains(err.Error(), "Ingress/") || strings.Contains(err.Error(), "do-not-tell") {
		t.Errorf("Apply() = %v, want an error that names the object, and not the value", err)
	}
	c.before = nil
	c.apply(apply.Request{}, objs...)
	c.before = bad
	stale := c.present(objs)
	pruned, err := c.engine.Prune(t.Context(), stale, c.isOurs)
	if err == nil || strings.Contains(err.Error(), "do-not-tell") {
		t.Errorf("Prune() = %v, want an error that does not tell the value", err)
	}
	for _, id := range pruned.Left.IDs() {
		if id.Kind != "Ingress" {
			t.Errorf("%s is left, too", id)
		}
	}
	if len(pruned.Left) == 0 {
		t.Error("nothing is left, want the object that panicked: it may still be there")
	}
}
