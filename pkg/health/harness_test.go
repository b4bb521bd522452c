package health_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"weir.dev/pkg/health"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/testplane"
	"weir.dev/pkg/watch"
)

// world is a plane and a Watcher of it.
type world struct {
	*testplane.Plane
	*health.Watcher
	t     *testing.T
	woken chan types.NamespacedName
}

// newWorld starts a Watcher that connects by cfg.
func newWorld(t *testing.T, p *testplane.Plane, cfg *rest.Config, opts health.Options) *world {
	t.Helper()
	objects, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return newWorldOf(t, p, watch.Objects(objects), opts)
}

// newWorldOf starts a Watcher of what open opens.
func newWorldOf(t *testing.T, p *testplane.Plane, open func(watch.Key) watch.Source, opts health.Options) *world {
	t.Helper()
	w := &world{Plane: p, t: t, woken: make(chan types.NamespacedName, 1000)}
	w.Watcher = health.NewWatcher(open, opts, func(o types.NamespacedName) { w.woken <- o })
	run(t, w.Watcher)
	return w
}

// follow waits until the open verdicts of owner o are such. As in a controller, only a
// wake asks for another look.
func (w *world) follow(what string, verdicts ...string) []health.Verdict {
	w.t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		open := w.Check(owner("o"))
		var got []string
		for _, v := range open {
			got = append(got, v.ID.Name+" "+v.Status.String())
		}
		if fmt.Sprint(got) == fmt.Sprint(verdicts) {
			return open
		}
		select {
		case <-w.woken:
		case <-deadline:
			w.t.Fatalf("waited in vain for %v, %s; verdicts are %v", verdicts, what, open)
		}
	}
}

func configMaps() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
}

// lamp is a ConfigMap whose light is on, off or torn, with a label of the test's own.
func (w *world) lamp(name, light string) *unstructured.Unstructured {
	w.t.Helper()
	return object(w.t, strings.NewReplacer("NS", w.Namespace, "NAME", name, "LIGHT", light).Replace(
		"{apiVersion: v1, kind: ConfigMap, metadata: {namespace: NS, name: NAME, labels: {owner: NS}}, data: {light: 'LIGHT'}}"))
}

// awaitLamps makes owner o wait until lamps are lit.
func (w *world) awaitLamps(names ...string) {
	w.t.Helper()
	rules, err := health.Compile([]kustomize.CustomHealthCheck{{
		APIVersion: "v1", Kind: "ConfigMap",
		HealthCheckExpressions: kustomize.HealthCheckExpressions{Failed: "data.light == 'torn'", Current: "data.light == 'on'"},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	var all []health.Awaited
	for _, name := range names {
		lamp := w.lamp(name, "")
		all = append(all, health.Awaited{ID: manifest.IDOf(lamp), Resource: configMaps(), Rule: rules.For(lamp.GroupVersionKind())})
	}
	w.Await(owner("o"), all)
}
