// Package e2e_test runs the programs that users install, as processes of their own,
// on a real API server, and ends them without warning where it hurts.
//
// Controllers watch the namespace of their test only, so that tests run beside each
// other. `make build` makes the programs.
package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	imagev1 "weir.dev/api/image/v1"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/testplane"
)

const (
	sourceController    = "source-controller"
	kustomizeController = "kustomize-controller"

	// logTail is how many lines of a log a failure tells.
	logTail = 40
	// tellTimeout bounds the reading of what a failure tells.
	tellTimeout = 10 * time.Second
)

// world is a namespace of the test plane and the processes that work in it.
type world struct {
	*testplane.Plane
	t *testing.T

	stack   *stack.Stack
	temp    string // where the processes keep temporary files
	proxies []*proxy
	tellers []func() // what else a failure tells
}

// newWorld makes a world without any process.
func newWorld(t *testing.T) *world {
	t.Helper()
	bin := filepath.Join(testplane.Root(t), "bin")
	for _, name := range []string{sourceController, kustomizeController} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			t.Fatalf("%v: build it with `make build`", err)
		}
	}
	all, err := stack.New(t.TempDir(), bin)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Plane: testplane.Start(t), t: t, stack: all, temp: filepath.Join(all.Dir(), "tmp")}
	if err := os.Mkdir(w.temp, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := all.Connect(w.Kubeconfig()); err != nil {
		t.Fatalf("connecting to the test plane: %v", err)
	}
	t.Cleanup(func() {
		if err := all.Stop(); err != nil {
			t.Errorf("stopping the processes: %v", err)
		}
	})
	t.Cleanup(w.tell) // while there still is something to tell of
	return w
}

// private is what a controller is given to see the namespace of the test only.
func (w *world) private() []string {
	return []string{"--watch-all-namespaces=false", "RUNTIME_NAMESPACE=" + w.Namespace, "TMPDIR=" + w.temp}
}

// startKustomize starts a kustomize-controller. More may be given as to stack.Start.
func (w *world) startKustomize(more ...string) *stack.Program {
	w.t.Helper()
	p, err := w.stack.KustomizeController(w.t.Context(), append(w.private(), more...)...)
	if err != nil {
		w.t.Fatalf("starting kustomize-controller: %v", err)
	}
	return p
}

// startSource starts a source-controller. More may be given as to stack.Start.
func (w *world) startSource(more ...string) *stack.Program {
	w.t.Helper()
	p, err := w.stack.SourceController(w.t.Context(), append(w.private(), more...)...)
	if err != nil {
		w.t.Fatalf("starting source-controller: %v", err)
	}
	return p
}

// kill ends a process without warning. One that is over already failed by itself.
func (w *world) kill(p *stack.Program) {
	w.t.Helper()
	select {
	case <-p.Ended():
		w.t.Errorf("process %d ended by itself", p.PID())
	default:
	}
	if err := p.Kill(); err != nil {
		w.t.Fatal(err)
	}
}

// pass lets some time go by, until ended is closed.
func (w *world) pass(d time.Duration, ended <-chan struct{}) {
	select {
	case <-time.After(d):
	case <-ended:
	case <-w.t.Context().Done():
	}
}

// handled asks for a run of ks and waits for it.
func (w *world) handled(ks *kustomizev1.Kustomization) {
	w.t.Helper()
	w.Poke(ks)
	w.WaitHandled(ks)
}

// tell says what a failed test leaves behind.
func (w *world) tell() {
	if !w.t.Failed() {
		return
	}
	for _, p := range w.proxies {
		w.t.Log(p)
	}
	for _, tell := range w.tellers {
		tell()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), tellTimeout)
	defer cancel()
	for _, list := range []client.ObjectList{
		&sourcev1.GitRepositoryList{}, &kustomizev1.KustomizationList{}, &sourcev1.HelmChartList{}, &helmv2.HelmReleaseList{},
		&imagev1.ImageRepositoryList{}, &imagev1.ImagePolicyList{}, &imagev1.ImageUpdateAutomationList{},
	} {
		if err := w.Client.List(ctx, list, client.InNamespace(w.Namespace)); err != nil {
			w.t.Logf("listing %T: %v", list, err)
			continue
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			w.t.Logf("reading %T: %v", list, err)
		}
		for _, item := range items {
			if o, ok := item.(client.Object); ok {
				o.SetManagedFields(nil)
			}
			text, _ := yaml.Marshal(item) // as far as it goes
			w.t.Logf("%T is\n%s", item, text)
		}
	}
	for _, name := range []string{sourceController, kustomizeController, helmController, imageController} {
		if end := tail(filepath.Join(w.stack.Dir(), name+".log")); end != "" {
			w.t.Logf("the end of the log of %s:\n%s", name, end)
		}
	}
}

// tail returns the end of a log, if there is one.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "" // nobody wrote it
	}
	lines := slices.Collect(strings.Lines(string(data)))
	return strings.Join(lines[max(0, len(lines)-logTail):], "")
}
