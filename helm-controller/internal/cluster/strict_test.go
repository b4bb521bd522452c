package cluster_test

import (
	"testing"

	"weir.dev/helm-controller/internal/cluster"
)

// withField is a template of a ConfigMap with a field that none has.
const withField = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, OWNED}\ndata: {k: x}\nreplicas: 3\n"

// strictly has fields refused that a kind does not have.
var strictly = with(func(o *cluster.Options) { o.Strict = true })

// TestUnknownFields are refused and named, whichever way an object is written.
func TestUnknownFields(t *testing.T) {
	t.Parallel()
	hooked := "apiVersion: v1\nkind: Pod\nmetadata: {name: h, " + hook("pre-install,pre-upgrade", "before-hook-creation") + "}\nspec: {replicas: 3, containers: [{name: c, image: x}]}\n"
	for name, method := range methods() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			_, err := w.install(w.chart(withField), method, strictly)
			w.says(err, "replicas")
			if w.Get(w.configMap("a")) {
				t.Error("the object was made all the same")
			}
			w.forgetRelease()
			_, err = w.install(w.chart(hooked), method, strictly)
			w.says(err, "Pod", "spec.replicas", "disableOpenAPIValidation")
			w.forgetRelease()
			w.must(w.install(w.chart(configMap("a", "1")), method, strictly))
			_, err = w.upgrade(w.chart(withField), method, strictly)
			w.says(err, "replicas")
			cm := w.configMap("a")
			if w.Get(cm); cm.Data["k"] != "1" {
				t.Errorf("the object was changed to %q all the same", cm.Data["k"])
			}
		})
	}
}

// TestUnknownFieldsAreLeftOut where users ask for that, if the API server can.
func TestUnknownFieldsAreLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.must(w.install(w.chart(withField), methods()["client-side"]))
	_, err := w.upgrade(w.chart(withField), methods()["client-side"], strictly)
	w.says(err, "ConfigMap", `"replicas"`, "disableOpenAPIValidation")
}

// TestStrictnessCostsNoRequest: the API server looks at fields while it writes.
func TestStrictnessCostsNoRequest(t *testing.T) {
	t.Parallel()
	for name, method := range methods() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked [2][3]int
			for i, settings := range [][]setting{{method}, {method, strictly}} {
				w := newWorld(t, "")
				w.Traffic.Reset()
				w.must(w.install(w.chart(configMaps(5, -1)...), settings...))
				w.must(w.upgrade(w.chart(configMaps(5, 2)...), settings...))
				asked[i][0], asked[i][1], asked[i][2] = w.writes()
			}
			if asked[0] != asked[1] {
				t.Errorf("dry runs, writes and reads are %v, and %v if they are strict", asked[0], asked[1])
			}
		})
	}
}
