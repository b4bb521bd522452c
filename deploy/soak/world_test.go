package soak_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/testplane"
)

const (
	sourceController    = "source-controller"
	kustomizeController = "kustomize-controller"

	// namespace is that of Kustomizations and sources.
	namespace = "flux-system"
	branch    = "main"

	// lookEvery is how often something that is waited for is looked at.
	lookEvery = 250 * time.Millisecond
	// logTail is how many lines of a log a failure tells.
	logTail = 60
	// outage is how long after a kill of the API server a controller may end for that.
	outage = time.Minute
)

// world is a control plane and the controllers, which are started again when they end.
type world struct {
	*stack.Stack
	t       *testing.T
	temp    string // where the controllers keep temporary files
	keepers map[string]*keeper
	killed  []time.Time // when the API server was
	stopped bool
}

// newWorld starts everything.
func newWorld(t *testing.T) *world {
	t.Helper()
	all, err := stack.New(t.TempDir(), filepath.Join(testplane.Root(t), "bin"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Stack: all, t: t, temp: filepath.Join(all.Dir(), "tmp"), keepers: make(map[string]*keeper)}
	t.Cleanup(func() {
		w.tell()
		w.stop()
	})
	for _, do := range []func(context.Context) error{
		all.StartPlane, all.StartGit,
		func(ctx context.Context) error { return all.InstallAPI(ctx, namespace) },
		func(context.Context) error { return os.Mkdir(w.temp, 0o755) },
		w.install,
	} {
		if err := do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	artifacts := freeAddress(t)
	w.keep(sourceController, "--storage-path="+w.Storage(), "--storage-addr="+artifacts)
	w.keep(kustomizeController)
	w.keep(helmController)
	return w
}

// install makes what objects need: namespaces, and the definition of a kind.
func (w *world) install(ctx context.Context) error {
	for i := range spaces {
		if err := w.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: spaceName(i)}}); err != nil {
			return err
		}
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	err := yaml.Unmarshal([]byte(`
metadata: {name: things.`+group+`}
spec:
  group: `+group+`
  names: {kind: Thing, listKind: ThingList, plural: things, singular: thing}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {
      size: {type: integer}, colour: {type: string}, shape: {type: string, default: round}}}}}}
`), crd)
	if err != nil {
		return err
	}
	if err := w.Client.Create(ctx, crd); err != nil {
		return err
	}
	return w.Until(ctx, crd, func() bool {
		return slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
			return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
		})
	})
}

// keep starts a controller, and again whenever it ends.
func (w *world) keep(name string, flags ...string) {
	if err := os.MkdirAll(w.Storage(), 0o755); err != nil {
		w.t.Fatal(err)
	}
	metrics := freeAddress(w.t)
	flags = append(flags, "--metrics-addr="+metrics, "TMPDIR="+w.temp)
	k := &keeper{
		name: name, metrics: "http://" + metrics + "/metrics",
		start: func(ctx context.Context) (*stack.Program, error) { return w.Start(ctx, name, flags...) },
		kills: make(chan time.Duration), stopping: make(chan struct{}), stopped: make(chan struct{}),
	}
	w.keepers[name] = k
	go k.run(w.t.Context())
}

// ready reports whether the API server works.
func (w *world) ready(ctx context.Context) bool {
	const patience = 2 * time.Second
	cfg := rest.CopyConfig(w.Config)
	cfg.Timeout = patience
	c, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return false
	}
	defer c.CloseIdleConnections()
	resp, err := c.Get(w.Config.Host + "/readyz")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return ctx.Err() == nil && resp.StatusCode == http.StatusOK
}

// killAPIServer ends the API server without warning: it would take a minute to end by
// itself, for its watches. It is started again by itself. One that is not there yet again
// is left alone.
func (w *world) killAPIServer(ctx context.Context) error {
	pid, err := w.Component(ctx, stack.APIServer)
	if err != nil || pid == 0 {
		return err
	}
	w.killed = append(w.killed, time.Now())
	return syscall.Kill(pid, syscall.SIGKILL)
}

// restore waits until everything runs, as it does without further kills.
func (w *world) restore() {
	w.t.Helper()
	w.eventually("the API server is there", settleTimeout, func(ctx context.Context) string {
		if !w.ready(ctx) {
			return "it is not"
		}
		return ""
	})
	for _, k := range w.keepers {
		w.eventually(k.name+" is there", settleTimeout, func(ctx context.Context) string {
			_, err := k.figures(ctx)
			return told(err)
		})
		for _, end := range k.ends() {
			excused := func(killed time.Time) bool { return end.After(killed) && end.Before(killed.Add(outage)) }
			if !slices.ContainsFunc(w.killed, excused) {
				w.t.Errorf("%s ended by itself at %s; the API server was killed at %v", k.name, end, w.killed)
			}
		}
	}
}

// eventually waits until wrong has nothing to tell.
func (w *world) eventually(what string, limit time.Duration, wrong func(context.Context) string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	last := "nobody looked"
	for {
		text := wrong(ctx)
		if text == "" {
			return
		}
		if ctx.Err() == nil { // else it tells of the look, which was interrupted
			last = text
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("waited %s until %s:\n%s", limit, what, last)
		case <-time.After(lookEvery):
		}
	}
}

func told(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// stop ends everything in order, once.
func (w *world) stop() {
	w.t.Helper()
	if w.stopped {
		return
	}
	w.stopped = true
	for _, k := range w.keepers {
		close(k.stopping)
		<-k.stopped
	}
	if err := w.Stop(); err != nil {
		w.t.Errorf("stopping: %v", err)
	}
}

// tell says what a failed test leaves behind.
func (w *world) tell() {
	if !w.t.Failed() {
		return
	}
	w.tellPods()
	for _, name := range []string{sourceController, kustomizeController, helmController} {
		data, err := os.ReadFile(filepath.Join(w.Dir(), name+".log"))
		if err != nil {
			w.t.Logf("reading the log of %s: %v", name, err)
			continue
		}
		lines := slices.Collect(strings.Lines(string(data)))
		w.t.Logf("the end of the log of %s:\n%s", name, strings.Join(lines[max(0, len(lines)-logTail):], ""))
	}
}

// tellPods says which Pods do not run: what waits for them cannot be ready.
func (w *world) tellPods() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), outage)
	defer cancel()
	var pods corev1.PodList
	var nodes corev1.NodeList
	for _, list := range []client.ObjectList{&pods, &nodes} {
		if err := w.Client.List(ctx, list); err != nil {
			w.t.Logf("listing %T: %v", list, err)
		}
	}
	for _, p := range pods.Items {
		if p.Status.Phase != corev1.PodRunning || p.DeletionTimestamp != nil {
			w.t.Logf("Pod %s/%s is %s since %s, deleted %v: %v", p.Namespace, p.Name, p.Status.Phase, p.CreationTimestamp, p.DeletionTimestamp, p.Status.Conditions)
		}
	}
	for _, n := range nodes.Items {
		w.t.Logf("Node %s has taints %v and conditions %v", n.Name, n.Spec.Taints, n.Status.Conditions)
	}
}

// freeAddress returns an address that nobody listens on. It is below the ports that
// outgoing connections take, so that it stays free between two processes.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(7000)))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}
