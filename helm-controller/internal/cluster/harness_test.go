package cluster_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"weir.dev/helm-controller/internal/cluster"
	"weir.dev/pkg/apply"
	"weir.dev/pkg/tenant"
	"weir.dev/pkg/testplane"
)

const (
	labelName      = "helm.toolkit.fluxcd.io/name"
	labelNamespace = "helm.toolkit.fluxcd.io/namespace"
)

// world is a plane with a place on it, and the actions of one release.
type world struct {
	*testplane.Plane
	t        *testing.T
	clusters *tenant.Clusters
	at       *tenant.Place
	waits    *cluster.Waits
	storage  *storage.Storage
	asked    *asked

	client *cluster.Client // of the last action

	mu  sync.Mutex
	log []string
}

// asked counts requests that are about no object.
type asked struct {
	mu    sync.Mutex
	paths map[string][]int // the codes of answers
}

func (a *asked) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err == nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.paths[req.URL.Path] = append(a.paths[req.URL.Path], resp.StatusCode)
		}
		return resp, err
	})
}

// of returns the codes of the answers under a path.
func (a *asked) of(path string) []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.paths[path])
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// newWorld returns a world in which user works; "" is the admin.
func newWorld(t *testing.T, user string) *world {
	t.Helper()
	w := &world{Plane: testplane.Start(t), t: t, waits: &cluster.Waits{}, storage: storage.Init(driver.NewMemory()), asked: &asked{paths: make(map[string][]int)}}
	cfg := w.Config()
	cfg.Wrap(w.asked.wrap)
	hc, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(cfg, hc)
	if err != nil {
		t.Fatal(err)
	}
	w.clusters, err = tenant.New(cfg, hc, mapper, tenant.Options{
		Apply: apply.Config{Manager: cluster.Manager, Wishes: apply.NoWishes}, OwnerName: labelName, OwnerNamespace: labelNamespace,
		Wake:    func(owner types.NamespacedName) { w.waits.Tell(owner) },
		Refused: func(string, schema.GroupVersionResource, error) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.clusters.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Start ended with %v", err)
		}
	})
	if user != "" {
		user = tenant.User(w.Namespace, user)
	}
	if w.at, err = w.clusters.Enter(w.owner(), user); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) owner() types.NamespacedName {
	return types.NamespacedName{Namespace: w.Namespace, Name: "app"}
}

func (w *world) release() types.NamespacedName {
	return types.NamespacedName{Namespace: w.Namespace, Name: "rel"}
}

// setting changes what an action does.
type setting func(*run)

// run is what an action is given.
type run struct {
	ctx     context.Context
	opts    cluster.Options
	timeout time.Duration
	wait    bool
	jobs    bool
	getter  bool
	cleanup bool

	propagation string
}

func with(change func(*cluster.Options)) setting { return func(r *run) { change(&r.opts) } }

func waiting(r *run) { r.wait = true }

func waitingForJobs(r *run) { r.wait, r.jobs = true, true }

func in(d time.Duration) setting { return func(r *run) { r.timeout = d } }

func until(ctx context.Context) setting { return func(r *run) { r.ctx = ctx } }

// configure returns what an action of the SDK works with.
func (w *world) configure(settings ...setting) (*action.Configuration, run) {
	w.t.Helper()
	r := run{ctx: w.t.Context(), timeout: 2 * time.Minute, opts: cluster.Options{
		Owner: w.owner(), Release: w.release(), TakeOwnership: true, Waits: w.waits, Log: w.logf,
	}}
	for _, set := range settings {
		set(&r)
	}
	w.client = cluster.New(r.ctx, w.at, r.opts)
	cfg := &action.Configuration{
		KubeClient: w.client, Releases: w.storage, Log: w.logf, Capabilities: chartutil.DefaultCapabilities.Copy(),
	}
	if r.getter {
		cfg.RESTClientGetter = cluster.Getter(r.ctx, w.at)
	}
	return cfg, r
}

func (w *world) logf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.log, "\n")
}

// chart returns a chart with templates; in them, NS is the namespace of the test, and OWNED
// the labels of what the test's owner has applied.
func (w *world) chart(templates ...string) *chart.Chart {
	c := &chart.Chart{Metadata: &chart.Metadata{APIVersion: "v2", Name: "demo", Version: "1.0.0"}}
	owned := fmt.Sprintf("labels: {%s: app, %s: %s}", labelName, labelNamespace, w.Namespace)
	for i, text := range templates {
		text = strings.NewReplacer("OWNED", owned, "NS", w.Namespace).Replace(text)
		c.Templates = append(c.Templates, &chart.File{Name: fmt.Sprintf("templates/%03d.yaml", i), Data: []byte(text)})
	}
	return c
}

func (w *world) install(c *chart.Chart, settings ...setting) (*release.Release, error) {
	w.t.Helper()
	cfg, r := w.configure(settings...)
	install := action.NewInstall(cfg)
	install.ReleaseName, install.Namespace, install.Timeout = "rel", w.Namespace, r.timeout
	install.TakeOwnership, install.Wait, install.WaitForJobs, install.SkipCRDs = r.opts.TakeOwnership, r.wait, r.jobs, true
	return install.Run(c, nil)
}

func (w *world) upgrade(c *chart.Chart, settings ...setting) (*release.Release, error) {
	w.t.Helper()
	cfg, r := w.configure(settings...)
	upgrade := action.NewUpgrade(cfg)
	upgrade.Namespace, upgrade.Timeout, upgrade.CleanupOnFail = w.Namespace, r.timeout, r.cleanup
	upgrade.TakeOwnership, upgrade.Wait, upgrade.WaitForJobs = r.opts.TakeOwnership, r.wait, r.jobs
	return upgrade.Run("rel", c, nil)
}

func (w *world) uninstall(settings ...setting) error {
	w.t.Helper()
	cfg, r := w.configure(settings...)
	uninstall := action.NewUninstall(cfg)
	uninstall.Timeout, uninstall.Wait, uninstall.DeletionPropagation = r.timeout, r.wait, r.propagation
	_, err := uninstall.Run("rel")
	return err
}

// must fails the test if an action did.
func (w *world) must(_ *release.Release, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("the action failed: %v", err)
	}
}

// effects returns what was done to the objects of the release, in the order of their names.
func (w *world) effects() []string {
	var out []string
	for _, c := range w.client.Changes() {
		out = append(out, c.ID.Kind+" "+c.ID.Name+" "+c.Effect.String())
	}
	slices.Sort(out)
	return out
}

func (w *world) configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}}
}

// configMap is a template of a ConfigMap; more is of its metadata.
func configMap(name, value string, more ...string) string {
	metadata := strings.Join(append([]string{"name: " + name, "OWNED"}, more...), ", ")
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {" + metadata + "}\ndata: {k: '" + value + "'}\n"
}

// configMaps are templates of so many ConfigMaps; that of changed has another value.
func configMaps(n, changed int) []string {
	var out []string
	for i := range n {
		value := "same"
		if i == changed {
			value = "changed"
		}
		out = append(out, configMap(fmt.Sprintf("c%02d", i), value))
	}
	return out
}

// writes counts what was asked of the API server to change or to check objects.
func (w *world) writes() (dryRuns, writes, reads int) {
	for _, r := range w.Traffic.Requests() {
		switch {
		case r.DryRun:
			dryRuns++
		case r.Write():
			writes++
		case !r.Watch:
			reads++
		}
	}
	return dryRuns, writes, reads
}

// says fails the test unless err says all of the texts.
func (w *world) says(err error, texts ...string) {
	w.t.Helper()
	if err == nil {
		w.t.Fatalf("no error; want one that says %q", texts)
	}
	for _, text := range texts {
		text = strings.ReplaceAll(text, "NS", w.Namespace)
		if !strings.Contains(err.Error(), text) {
			w.t.Errorf("the error says %q; want it to say %q", err, text)
		}
	}
}
