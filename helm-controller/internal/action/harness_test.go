package action_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"helm.sh/helm/v3/pkg/chart"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/action"
	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/helm-controller/internal/overlay"
	"weir.dev/helm-controller/internal/plan"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
	"weir.dev/helm-controller/internal/values"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/tenant"
	"weir.dev/pkg/testplane"
	"weir.dev/pkg/watch"
)

// world is a plane, a HelmRelease with its status, and a process that sees to it.
type world struct {
	*testplane.Plane
	t  *testing.T
	hr *helmv2.HelmRelease

	templates []string
	schema    string
	version   string
	values    map[string]any
	sensitive []string
	gone      func() *chart.Chart // in the place of the chart

	process *process
}

// process is one that sees to the release: what it knows goes with it.
type process struct {
	at      *tenant.Place
	waits   cluster.Waits
	watcher *releases.Watcher
	memory  observe.Memory
	history *releases.History
	woken   *woken
	stop    func()
}

// woken counts what watches have told.
type woken struct {
	mu     sync.Mutex
	drifts int
}

func (w *woken) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drifts++
}

func (w *woken) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.drifts
}

// newWorld returns a world without a release.
func newWorld(t *testing.T, change ...func(*helmv2.HelmReleaseSpec)) *world {
	t.Helper()
	p := testplane.Start(t)
	w := &world{Plane: p, t: t, version: "1.0.0", values: map[string]any{"value": "one"}}
	w.hr = &helmv2.HelmRelease{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: "app", Generation: 1}}
	for _, c := range change {
		c(&w.hr.Spec)
	}
	w.templates = []string{configMap("settings", "{{ .Values.value }}"), configMap("fixed", "same")}
	w.start()
	return w
}

// start begins a process.
func (w *world) start() {
	w.t.Helper()
	p := &process{woken: &woken{}}
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
		Wake: func(owner types.NamespacedName) {
			if !p.waits.Tell(owner) {
				p.woken.wake()
			}
		},
		Refused: func(string, schema.GroupVersionResource, error) {},
		Extra: func(_ string, open func(schema.GroupVersionResource) watch.Source) tenant.Runner {
			p.watcher = releases.NewWatcher(open, func(string, string) {})
			return p.watcher
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- clusters.Start(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the clusters ended with %v", err)
		}
	})
	w.t.Cleanup(p.stop)
	if p.at, err = clusters.Enter(client.ObjectKeyFromObject(w.hr), ""); err != nil {
		w.t.Fatal(err)
	}
	w.process = p
	w.Eventually("the storage is watched", func() bool {
		_, known := p.watcher.Known(w.hr.GetStorageNamespace(), w.hr.GetReleaseName())
		return known
	})
}

// restart ends the process and begins another.
func (w *world) restart() {
	w.t.Helper()
	w.process.stop()
	w.start()
}

func (w *world) release() types.NamespacedName {
	return types.NamespacedName{Namespace: w.hr.GetReleaseNamespace(), Name: w.hr.GetReleaseName()}
}

// storage returns the storage of the release, of which nothing is read yet.
func (w *world) storage() *releases.History {
	w.t.Helper()
	core, err := corev1client.NewForConfigAndClient(w.process.at.Config(), w.process.at.HTTP())
	if err != nil {
		w.t.Fatal(err)
	}
	ns := w.hr.GetStorageNamespace()
	return w.process.watcher.Open(core.Secrets(ns), ns, w.hr.GetReleaseName())
}

// chart returns a copy of the chart.
func (w *world) chart() *chart.Chart {
	if w.gone != nil {
		return w.gone()
	}
	c := &chart.Chart{Metadata: &chart.Metadata{APIVersion: "v2", Name: "demo", Version: w.version, AppVersion: "7"}}
	if w.schema != "" {
		c.Schema = []byte(w.schema)
	}
	for i, text := range w.templates {
		c.Templates = append(c.Templates, &chart.File{Name: fmt.Sprintf("templates/%03d.yaml", i), Data: []byte(text)})
	}
	return c
}

// wanted is what the release is to be made of.
func (w *world) wanted() state.Content {
	return state.Content{ChartName: "demo", ChartVersion: w.version, ConfigDigest: values.Digest(digest.Canonical, w.values)}
}

// observe tells what is known of the release.
func (w *world) observe() (observe.Found, error) {
	w.t.Helper()
	history := w.process.history
	if history == nil {
		history = w.storage()
	}
	w.process.history = nil
	return observe.Facts(w.t.Context(), &w.process.memory, observe.Input{
		HelmRelease: w.hr, At: w.process.at, History: history, Watcher: w.process.watcher,
		Storage: w.hr.GetStorageNamespace(), Release: w.release(), Wanted: w.wanted(), Digest: digest.Canonical,
	})
}

// state returns the state of the release.
func (w *world) state() state.State {
	w.t.Helper()
	found, err := w.observe()
	if err != nil {
		w.t.Fatalf("observing: %v", err)
	}
	w.hr.Status.History = state.Record(w.hr.Status.History, found.Recovered...)
	return found.State
}

// attempt records what is attempted, as is done before an action.
func (w *world) attempt(what plan.Action) {
	switch what {
	case plan.Install:
		w.hr.Status.LastAttemptedReleaseAction = helmv2.ReleaseActionInstall
	case plan.Upgrade:
		w.hr.Status.LastAttemptedReleaseAction = helmv2.ReleaseActionUpgrade
	}
	w.hr.Status.LastAttemptedGeneration = w.hr.Generation
	w.hr.Status.LastAttemptedRevision, w.hr.Status.LastAttemptedConfigDigest = w.wanted().ChartVersion, w.wanted().ConfigDigest
}

// run carries out an action, without recording what came of it.
func (w *world) run(ctx context.Context, what plan.Action, change ...func(*action.Input)) action.Result {
	w.t.Helper()
	laid, err := overlay.New(overlay.Spec{Owner: client.ObjectKeyFromObject(w.hr)})
	if err != nil {
		w.t.Fatal(err)
	}
	in := action.Input{
		HelmRelease: w.hr.DeepCopy(), Release: w.release(), Chart: w.chart, Values: w.values, Sensitive: w.sensitive, Overlay: laid,
	}
	for _, c := range change {
		c(&in)
	}
	history := w.storage()
	env := action.Env{At: w.process.at, History: history, Waits: &w.process.waits, Digest: digest.Canonical}
	res := action.Run(ctx, env, what, in)
	w.process.history = history
	return res
}

// do carries out an action and records what came of it.
func (w *world) do(what plan.Action, change ...func(*action.Input)) action.Result {
	w.t.Helper()
	w.attempt(what)
	res := w.run(w.t.Context(), what, change...)
	w.hr.Status.History = state.Record(w.hr.Status.History, res.Snapshots...)
	return res
}

// must is do of an action that succeeds.
func (w *world) must(what plan.Action, change ...func(*action.Input)) action.Result {
	w.t.Helper()
	res := w.do(what, change...)
	if res.Err != nil {
		w.t.Fatalf("%s: %v\n%s", what, res.Err, strings.Join(res.Logs, "\n"))
	}
	return res
}

// stored returns the releases in storage, the newest first, such as "2 deployed".
func (w *world) stored() []string {
	w.t.Helper()
	all, err := w.storage().All(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, r := range all {
		out = append(out, fmt.Sprintf("%d %s", r.Version, r.Info.Status))
	}
	return out
}

// remembered returns what the history has, the newest first, such as "2 deployed upgrade".
func (w *world) remembered() []string {
	var out []string
	for _, s := range w.hr.Status.History {
		out = append(out, fmt.Sprintf("%d %s %s", s.Version, s.Status, s.Action))
	}
	return out
}

// is fails the test unless got is what is wanted.
func (w *world) is(what string, got []string, want ...string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// says fails the test unless an error says all of the texts.
func (w *world) says(err error, texts ...string) {
	w.t.Helper()
	if err == nil {
		w.t.Fatalf("there is no error, want one that says %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			w.t.Errorf("the error says %q, want it to say %q", err, text)
		}
	}
}

// value returns what a ConfigMap has; empty if there is none.
func (w *world) value(name string) string {
	w.t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
	if !w.Get(cm) {
		return ""
	}
	return cm.Data["k"]
}

// configMap returns a template; more is of its metadata.
func configMap(name, value string, more ...string) string {
	metadata := strings.Join(append([]string{"name: " + name}, more...), ", ")
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {" + metadata + "}\ndata: {k: '" + value + "'}\n"
}

// hook returns the metadata of a hook.
func hook(events string) string { return `annotations: {"helm.sh/hook": "` + events + `"}` }

// refused is a template of an object that the API server does not take.
const refused = "apiVersion: v1\nkind: Service\nmetadata: {name: refused}\nspec: {ports: [{port: 99999}]}\n"

// effects returns what became of objects, such as "ConfigMap fixed created".
func effects(changes []apply.Change) []string {
	var out []string
	for _, c := range changes {
		out = append(out, c.ID.Kind+" "+c.ID.Name+" "+c.Effect.String())
	}
	slices.Sort(out)
	return out
}

// correct restores what was found to have drifted.
func (w *world) correct(found observe.Found) []apply.Change {
	w.t.Helper()
	return w.must(plan.Correct, func(in *action.Input) { in.Drift = found.Drift }).Changes
}
