package health_test

import (
	"fmt"
	"testing"

	"github.com/fluxcd/pkg/apis/kustomize"

	"weir.dev/pkg/health"
	"weir.dev/pkg/watch"
)

// Each of two owners judges the same objects in its own way.
func TestOwnersWithRulesOfTheirOwn(t *testing.T) {
	t.Parallel()
	strict := rule(t, kustomize.HealthCheckExpressions{Current: "has(status.shiny) && status.shiny", Failed: "has(status.torn)"})
	alike := rule(t, kustomize.HealthCheckExpressions{Current: "has(status.shiny) && status.shiny", Failed: "has(status.torn)"})
	w := newWatcher()
	with := func(r *health.Rule) []health.Awaited {
		a := awaited("a", "")
		a.Rule = r
		return []health.Awaited{a}
	}
	w.Await(owner("plain"), with(nil))
	w.Await(owner("strict"), with(strict))
	w.Await(owner("alike"), with(alike))
	plain, ruled := whole(widgets("v1")), watch.Key{Resource: widgets("v1"), Variant: strict.Key()}
	tell := func(status string) {
		obj := object(t, "{apiVersion: example.com/v1, kind: Widget, metadata: {namespace: ns, name: a, resourceVersion: '11'}, status: {"+status+"}}")
		w.Saw(plain, obj)
		w.Saw(ruled, obj)
	}
	w.Listed(plain, nil, "10")
	w.Listed(ruled, nil, "10")
	for _, step := range []struct{ status, want, wakes string }{
		{status: "x: 1", want: "[] [a InProgress] [a InProgress]", wakes: "[alike alike plain plain strict strict]"},
		{status: "torn: true", want: "[] [a Failed] [a Failed]", wakes: "[alike strict]"},
		{status: "shiny: true", want: "[] [] []", wakes: "[alike strict]"},
		{status: "shiny: true, conditions: [{type: Ready, status: 'False'}]", want: "[a InProgress] [] []", wakes: "[plain]"},
	} {
		tell(step.status)
		if got := fmt.Sprint(w.verdicts("plain"), w.verdicts("strict"), w.verdicts("alike")); got != step.want {
			t.Errorf("verdicts on {%s} are %s, want %s", step.status, got, step.want)
		}
		if got := fmt.Sprint(w.wakes()); got != step.wakes {
			t.Errorf("{%s} woke %s, want %s", step.status, got, step.wakes)
		}
	}
	// The spec may get another rule, and none again.
	w.Await(owner("plain"), with(strict))
	if got := w.verdicts("plain"); len(got) != 0 {
		t.Errorf("with the rule of another owner, what that knows is known; verdicts are %q", got)
	}
	w.Await(owner("plain"), with(nil))
	if got := fmt.Sprint(w.verdicts("plain")); got != "[a Unknown]" {
		t.Errorf("without the rule nothing is known at first; verdicts are %s", got)
	}
}

func TestStreamsAreSharedByRule(t *testing.T) {
	t.Parallel()
	sources := newSources()
	w := sources.start(t)
	with := func(current string) health.Awaited {
		a := awaited("a", "")
		a.Rule = rule(t, kustomize.HealthCheckExpressions{Current: current})
		return a
	}
	up, named := with("status.conditions[0].status == 'True'"), with("metadata.name == 'a'")
	stream := func(a health.Awaited) *source {
		return sources.at(watch.Key{Resource: a.Resource, Variant: a.Rule.Key()})
	}
	for _, s := range []*source{stream(up), stream(named), sources.of(widgets("v1"))} {
		s.set(widget("a", 11, "False"))
	}
	w.Await(owner("o"), []health.Awaited{up})
	w.Await(owner("p"), []health.Awaited{up})
	w.Await(owner("q"), []health.Awaited{named})
	eventually(t, "all is judged", func() bool {
		open := w.Check(owner("o"))
		return len(w.Check(owner("q"))) == 0 && len(w.Check(owner("p"))) == 1 && len(open) == 1 && open[0].Status == health.InProgress
	})
	stream(up).send(widget("a", 12, "True"))
	eventually(t, "the change is seen", func() bool { return len(w.Check(owner("o")))+len(w.Check(owner("p"))) == 0 })
	if got := fmt.Sprint(stream(up).opened(), stream(named).opened(), sources.of(widgets("v1")).opened()); got != "1 1 0" {
		t.Errorf("streams opened by rule, and without one: %s; want 1 1 0", got)
	}
	w.Await(owner("o"), nil)
	w.Await(owner("p"), nil)
	eventually(t, "the stream of a rule ends with its last user", func() bool { return stream(up).open() == 0 })
	if stream(named).open() != 1 {
		t.Error("the stream of another rule ended, too")
	}
}

func TestLoneObjects(t *testing.T) {
	t.Parallel()
	sources := newSources()
	w := sources.startWith(t, health.Options{Lone: true})
	a, b := awaited("a", ""), awaited("b", "")
	b.ID.Namespace = "other"
	stream := func(x health.Awaited) *source {
		return sources.at(watch.Key{Resource: x.Resource, Namespace: x.ID.Namespace, Name: x.ID.Name})
	}
	stream(a).set(widget("a", 11, "True"))
	w.Await(owner("o"), []health.Awaited{a, b})
	w.Await(owner("p"), []health.Awaited{a})
	eventually(t, "both are seen", func() bool {
		open := w.Check(owner("o"))
		return len(w.Check(owner("p"))) == 0 && len(open) == 1 && open[0].ID == b.ID && open[0].Status == health.NotFound
	})
	there := widget("b", 12, "True")
	there.SetNamespace("other")
	stream(b).send(there)
	eventually(t, "the other is there", func() bool { return len(w.Check(owner("o"))) == 0 })
	if got := fmt.Sprint(stream(a).opened(), stream(b).opened(), sources.of(widgets("v1")).opened()); got != "1 1 0" {
		t.Errorf("streams opened for each object and for all: %s; want 1 1 0", got)
	}
	w.Await(owner("o"), []health.Awaited{a})
	eventually(t, "nobody follows the other any more", func() bool { return stream(b).open() == 0 })
	if stream(a).open() != 1 {
		t.Error("the stream ended of an object that is still awaited")
	}
}
