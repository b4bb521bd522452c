package observe_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	helmtime "helm.sh/helm/v3/pkg/time"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/helm-controller/internal/values"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/manifest"
	"weir.dev/pkg/tenant"
	"weir.dev/pkg/testplane"
	"weir.dev/pkg/watch"
)

// world is a plane, a HelmRelease that is nowhere but here, and somebody who looks at its
// release. Releases are stored by others, as the helm command does it.
type world struct {
	*testplane.Plane
	t      *testing.T
	hr     *helmv2.HelmRelease
	others corev1client.SecretInterface // the storage, as nobody counts it

	at      *tenant.Place
	watcher *releases.Watcher
	woken   atomic.Int32
	memory  observe.Memory
	wanted  state.Content
	objects string // the manifest of what is stored from now on
}

// newWorld returns a world in which nothing is stored.
func newWorld(t *testing.T, change ...func(*helmv2.HelmReleaseSpec)) *world {
	t.Helper()
	w := &world{Plane: testplane.Start(t), t: t, wanted: content("1.0.0", "one")}
	w.hr = &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "app", Generation: 1}}
	for _, c := range change {
		c(&w.hr.Spec)
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", w.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	core, err := corev1client.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.others = core.Secrets(w.Namespace)
	w.objects = w.configMap("settings", "k: one")
	w.enter()
	return w
}

// enter has the watches of a cluster begin.
func (w *world) enter() {
	w.t.Helper()
	cfg := w.Config()
	hc, err := rest.HTTPClientFor(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(cfg, hc)
	if err != nil {
		w.t.Fatal(err)
	}
	clusters, err := tenant.New(cfg, hc, mapper, tenant.Options{
		Apply: apply.Config{Manager: cluster.Manager}, OwnerName: helmv2.LabelName, OwnerNamespace: helmv2.LabelNamespace,
		Wake:    func(types.NamespacedName) { w.woken.Add(1) },
		Refused: func(string, schema.GroupVersionResource, error) {},
		Extra: func(_ string, open func(schema.GroupVersionResource) watch.Source) tenant.Runner {
			w.watcher = releases.NewWatcher(open, func(string, string) {})
			return w.watcher
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- clusters.Start(ctx) }()
	w.t.Cleanup(sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the clusters ended with %v", err)
		}
	}))
	if w.at, err = clusters.Enter(client.ObjectKeyFromObject(w.hr), ""); err != nil {
		w.t.Fatal(err)
	}
	w.Eventually("the storage is watched", func() bool {
		_, known := w.watcher.Known(w.Namespace, "app")
		return known
	})
}

// content is what a release of the demo chart is made of.
func content(version, value string) state.Content {
	return state.Content{ChartName: "demo", ChartVersion: version, ConfigDigest: values.Digest(digest.Canonical, config(value))}
}

func config(value string) map[string]any { return map[string]any{"value": value} }

// configMap is a document of a manifest that says whose it is.
func (w *world) configMap(name, data string, more ...string) string {
	return w.object("v1", "ConfigMap", name, more...) + "data: {" + data + "}\n"
}

func (w *world) object(apiVersion, kind, name string, more ...string) string {
	metadata := strings.Join(append([]string{
		"name: " + name, "namespace: " + w.Namespace,
		fmt.Sprintf("labels: {%s: %s, %s: %s}", helmv2.LabelName, w.hr.Name, helmv2.LabelNamespace, w.hr.Namespace),
	}, more...), ", ")
	return "---\napiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {" + metadata + "}\n"
}

// version is a release as Helm makes it.
func (w *world) version(number int, status release.Status, change ...func(*release.Release)) *release.Release {
	at := helmtime.Date(2026, 11, 23, 20, 40, number, 5000, time.UTC)
	r := &release.Release{
		Name: "app", Namespace: w.Namespace, Version: number, Manifest: w.objects, Config: config("one"),
		Info:  &release.Info{FirstDeployed: at, LastDeployed: at, Status: status, Description: "made by a test"},
		Chart: &chart.Chart{Metadata: &chart.Metadata{APIVersion: "v2", Name: "demo", Version: "1.0.0"}},
	}
	for _, c := range change {
		c(r)
	}
	return r
}

// of has a release made of another chart or of other values.
func of(version, value string) func(*release.Release) {
	return func(r *release.Release) {
		r.Chart = &chart.Chart{Metadata: &chart.Metadata{APIVersion: "v2", Name: "demo", Version: version}}
		r.Config = config(value)
	}
}

func key(number int) string { return fmt.Sprintf("sh.helm.release.v1.app.v%d", number) }

// store stores a release, or stores it anew, as somebody else, and waits until it is known.
func (w *world) store(r *release.Release) {
	w.t.Helper()
	others := driver.NewSecrets(w.others)
	others.Log = func(string, ...any) {}
	err := others.Create(key(r.Version), r)
	if err != nil {
		err = others.Update(key(r.Version), r)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.noticed(r.Version)
}

// noticed waits until the watch has told how a version is stored.
func (w *world) noticed(number int) {
	w.t.Helper()
	secret, err := w.others.Get(w.t.Context(), key(number), metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Eventually("the watch tells of the release", func() bool {
		index, _ := w.watcher.Known(w.Namespace, "app")
		return slices.ContainsFunc(index, func(v releases.Version) bool {
			return v.Number == number && v.ResourceVersion == secret.ResourceVersion
		})
	})
}

// remove deletes the Secret of a version, and waits until that is known.
func (w *world) remove(number int) {
	w.t.Helper()
	if err := w.others.Delete(w.t.Context(), key(number), metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.Eventually("the watch tells that the release is gone", func() bool {
		index, _ := w.watcher.Known(w.Namespace, "app")
		return !slices.ContainsFunc(index, func(v releases.Version) bool { return v.Number == number })
	})
}

// corrupt has a Secret hold what is no release.
func (w *world) corrupt(number int, text string) {
	w.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: key(number)}}
	w.Patch(secret, "test", "stringData: {release: "+text+"}")
	w.noticed(number)
}

// record has the history know a version as it is stored now.
func (w *world) record(number int, change ...func(*helmv2.Snapshot)) *helmv2.Snapshot {
	w.t.Helper()
	r, err := releases.Open(w.others, "app").Get(w.t.Context(), number)
	if err != nil {
		w.t.Fatal(err)
	}
	s := r.Snapshot(digest.Canonical, "")
	s.Action = helmv2.ReleaseActionUpgrade
	for _, c := range change {
		c(s)
	}
	w.hr.Status.History = state.Record(w.hr.Status.History, s)
	return s
}

// secrets is the storage, as whoever looks reads it.
func (w *world) secrets() corev1client.SecretInterface {
	w.t.Helper()
	core, err := corev1client.NewForConfigAndClient(w.at.Config(), w.at.HTTP())
	if err != nil {
		w.t.Fatal(err)
	}
	return core.Secrets(w.Namespace)
}

// input is what is to be observed.
func (w *world) input() observe.Input {
	w.t.Helper()
	return observe.Input{
		HelmRelease: w.hr, At: w.at, Watcher: w.watcher, History: w.watcher.Open(w.secrets(), w.Namespace, "app"),
		Storage: w.Namespace, Release: types.NamespacedName{Namespace: w.Namespace, Name: "app"},
		Wanted: w.wanted, Digest: digest.Canonical,
	}
}

// observe observes the release. Nobody who looks may write.
func (w *world) observe(change ...func(*observe.Input)) (observe.Found, error) {
	w.t.Helper()
	in := w.input()
	for _, c := range change {
		c(&in)
	}
	before := in.HelmRelease.DeepCopy()
	allow := w.Traffic.Forbid(testplane.Writes())
	defer allow()
	found, err := observe.Facts(w.t.Context(), &w.memory, in)
	if diff := cmp.Diff(before, in.HelmRelease); diff != "" {
		w.t.Errorf("the HelmRelease was changed (-before +after):\n%s", diff)
	}
	return found, err
}

// found observes the release, which must be in a state.
func (w *world) found(want state.State, change ...func(*observe.Input)) observe.Found {
	w.t.Helper()
	found, err := w.observe(change...)
	if err != nil {
		w.t.Fatalf("observing: %v", err)
	}
	if found.State != want || found.Why == "" {
		w.t.Fatalf("the release is %s (%s); want %s, and why", found.State, found.Why, want)
	}
	return found
}

// fails observes the release, which must not succeed, and fails the test unless the error
// says all of the texts.
func (w *world) fails(texts ...string) error {
	w.t.Helper()
	_, err := w.observe()
	if err == nil {
		w.t.Fatalf("there is no error; want one that says %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			w.t.Errorf("the error says %q; want it to say %q", err, text)
		}
	}
	return err
}

// costs fails the test unless what is done makes just these requests, each with how often.
func (w *world) costs(what string, want map[string]int, do func()) {
	w.t.Helper()
	w.Traffic.Reset()
	do()
	got := make(map[string]int)
	for _, r := range w.Traffic.Requests() {
		if r.Watch {
			continue
		}
		name := r.Method + " " + r.Path[strings.LastIndex(r.Path, "/")+1:]
		if r.DryRun {
			name += " (dry run)"
		}
		got[name]++
	}
	if !maps.Equal(got, want) {
		w.t.Errorf("%s: the requests are %v; want %v", what, got, want)
	}
}

// effects are the changes in short, such as "ConfigMap settings created".
func effects(changes []apply.Change) []string {
	var out []string
	for _, c := range changes {
		out = append(out, c.ID.Kind+" "+c.ID.Name+" "+c.Effect.String())
	}
	slices.Sort(out)
	return out
}

// idOf names a ConfigMap.
func (w *world) idOf(name string) manifest.ID {
	return manifest.ID{Kind: "ConfigMap", Namespace: w.Namespace, Name: name}
}
