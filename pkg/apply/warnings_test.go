package apply_test

import (
	"slices"
	"sync"
	"testing"

	"weir.dev/pkg/apply"
)

// A warning is told once, however many objects it is about, and not at all if nobody who
// applies them can do anything about it.
func TestWarnings(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	var mu sync.Mutex
	var got []string
	c.with.Warned = func(text string) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, text)
	}
	c.restart()
	const account = "metadata: {namespace: NS, annotations: {kubernetes.io/enforce-mountable-secrets: 'true'}, name: "
	objs := c.read("{apiVersion: v1, kind: ServiceAccount, " + account + "a}}\n---\n{apiVersion: v1, kind: ServiceAccount, " + account + "b}}")
	c.apply(apply.Request{}, objs...)
	mu.Lock()
	first := slices.Clone(got)
	mu.Unlock()
	slices.Sort(first)
	if len(first) == 0 || len(slices.Compact(slices.Clone(first))) != len(first) {
		t.Errorf("the warnings are %q; want each once", first)
	}

	widgets := definition("") + "---\n{apiVersion: NS.example.com/v1, kind: Widget, metadata: {name: w, namespace: NS, finalizers: [example.com]}, spec: {free: a}}"
	c.apply(apply.Request{}, c.read(widgets)...)
	mu.Lock()
	defer mu.Unlock()
	if slices.Sort(got); !slices.Equal(got, first) {
		t.Errorf("a name of a finalizer is warned about: %q", got)
	}
	c.Patch(c.live(c.read(widgets)[1]), "test", "metadata: {finalizers: []}")
}
