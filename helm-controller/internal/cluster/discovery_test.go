package cluster_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/action"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"

	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/pkg/tenant"
)

// TestCapabilities are those that Helm itself finds, and are not transferred again while
// they are the same.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	first, err := cluster.Capabilities(t.Context(), w.at)
	if err != nil {
		t.Fatal(err)
	}
	second, err := cluster.Capabilities(t.Context(), w.at)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ofKubernetes(first.APIVersions), ofKubernetes(second.APIVersions)); diff != "" {
		t.Errorf("asked again (-first +second):\n%s", diff)
	}
	// Other tests may define kinds meanwhile, which are under /apis.
	if diff := cmp.Diff([]int{200, 304}, w.asked.of("/api")); diff != "" {
		t.Errorf("how /api was answered (-want +got):\n%s", diff)
	}
	if got := len(w.asked.of("/apis")); got != 2 {
		t.Errorf("/apis was asked for %d times; want twice", got)
	}
	for _, api := range []string{"v1", "apps/v1", "apps/v1/Deployment", "v1/Secret", "apps/v1/Scale"} {
		if !first.APIVersions.Has(api) {
			t.Errorf("%q is not served; want it to be", api)
		}
	}
	if first.KubeVersion.Version == "" || first.KubeVersion.Major == "" || first.HelmVersion.Version == "" {
		t.Errorf("versions are %v and %v; want them known", first.KubeVersion, first.HelmVersion)
	}

	client, err := discovery.NewDiscoveryClientForConfig(w.at.Config())
	if err != nil {
		t.Fatal(err)
	}
	asHelm, err := action.GetVersionSet(client)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ofKubernetes(asHelm), ofKubernetes(first.APIVersions)); diff != "" {
		t.Errorf("what is served (-by Helm +by us):\n%s", diff)
	}
}

// ofKubernetes returns what is no business of other tests: they define kinds of their own.
func ofKubernetes(served []string) []string {
	var out []string
	for _, api := range served {
		if group, _, _ := strings.Cut(api, "/"); !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io") {
			out = append(out, api)
		}
	}
	slices.Sort(out)
	return out
}

// TestLookup: templates see the cluster as the tenant does, and what an API serves is asked
// once.
func TestLookup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "team")
	w.allow("team", "", "configmaps", "*")
	there := w.configMap("there")
	there.Data = map[string]string{"k": "found"}
	w.Create(there)
	lookups := func(r *run) { r.getter = true }
	template := strings.ReplaceAll(configMap("a", `{{ (lookup "v1" "ConfigMap" .Release.Namespace "there").data.k }}{{ lookup "v1" "ConfigMap" .Release.Namespace "none" | len }}`), "'", `"`)
	template = strings.NewReplacer(`"v1"`, "`v1`", `"ConfigMap"`, "`ConfigMap`", `"there"`, "`there`", `"none"`, "`none`").Replace(template)
	w.must(w.install(w.chart(template), lookups))
	cm := w.configMap("a")
	if w.Get(cm); cm.Data["k"] != "found0" {
		t.Errorf("the templates found %q; want found0", cm.Data["k"])
	}
	if got := w.asked.of("/api/v1"); len(got) > 2 {
		t.Errorf("it was asked %d times what v1 serves; want once by lookups, and once by the mapper", len(got))
	}
	_, err := w.upgrade(w.chart("{{ lookup `v1` `Secret` .Release.Namespace `s` }}"), lookups)
	w.says(err, "cannot get resource \"secrets\"", ":team")
}

// evil answers in the name of an API server that there is an API more.
func evil(next http.RoundTripper) http.RoundTripper {
	const more = `{"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": [{"metadata": {"name": "evil.example.com"},
		"versions": [{"version": "v1", "resources": [{"resource": "tricks", "responseKind": {"kind": "Trick"}, "scope": "Namespaced", "singularResource": "trick", "verbs": ["get"]}]}]}]}`
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err != nil || req.URL.Path != "/api" && req.URL.Path != "/apis" || resp.StatusCode != http.StatusOK {
			return resp, err
		}
		resp.Body.Close()
		resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(more)), int64(len(more))
		resp.Header.Set("Content-Type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		return resp, nil
	})
}

// TestCapabilitiesOfATenantAreItsOwn: a kubeconfig may lead to another server than its URL
// says, by a proxy. What that one tells is of no other cluster.
func TestCapabilitiesOfATenantAreItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	cfg := w.Config()
	cfg.Wrap(evil)
	tricky, err := w.clusters.EnterRemote(types.NamespacedName{Namespace: "evil", Name: "app"}, tenant.Remote{Name: "evil", Config: cfg, Version: "1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	const api = "evil.example.com/v1/Trick"
	theirs, err := cluster.Capabilities(t.Context(), tricky)
	if err != nil || !theirs.APIVersions.Has(api) {
		t.Fatalf("the other cluster does not serve %s: %v", api, err)
	}
	if ours, err := cluster.Capabilities(t.Context(), w.at); err != nil || ours.APIVersions.Has(api) {
		t.Errorf("this cluster serves what another has told: %v", err)
	}
}
