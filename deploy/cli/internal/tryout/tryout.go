// Package tryout runs weir on this machine for somebody to try: a Kubernetes control plane
// of its own, and the controllers as processes, installed by the manifests that clusters
// get.
//
// All of it is below one folder, which is claimed by the process that runs it, so that
// there is one at a time, whoever asks. What the cluster holds outlives the processes: the
// next run goes on with it. Nothing is downloaded.
package tryout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"

	"weir.dev/deploy/cli/internal/await"
	"weir.dev/deploy/cli/internal/installation"
	"weir.dev/deploy/install"
	"weir.dev/deploy/internal/stack"
)

// registry is what names of images begin with. No image is pulled: the programs of the
// folder run in their place.
const registry = "localhost/weir"

// localplane is the program of the control plane.
const localplane = "localplane"

// Options say what runs, and where.
type Options struct {
	Dir        string   // for everything that is made; absolute
	Bin        string   // has the programs
	Namespace  string   // of the controllers
	Components []string // the controllers, as install.ParseComponents returns them
}

// Steps returns how often Start tells of something.
func (o Options) Steps() int { return len(o.Components) + 2 }

// MissingError says that programs are not there.
type MissingError struct {
	Bin      string
	Programs []string
}

// Error names them.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s does not have %s", e.Bin, strings.Join(e.Programs, ", "))
}

// CheckPrograms returns a MissingError unless all programs are there.
func (o Options) CheckPrograms() error {
	e := &MissingError{Bin: o.Bin}
	for _, name := range append([]string{localplane}, o.Components...) {
		info, err := os.Stat(filepath.Join(o.Bin, name))
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			e.Programs = append(e.Programs, name)
		}
	}
	if len(e.Programs) > 0 {
		return e
	}
	return nil
}

// Kubeconfig is the file that gives cluster admin, also while nothing runs.
func Kubeconfig(dir string) string { return filepath.Join(dir, "plane", "kubeconfig") }

// Running is what runs. Stop ends it.
type Running struct {
	options Options
	stack   *stack.Stack
	kubelet *stack.Kubelet
	claim   *claim
}

// Start starts everything and waits until the controllers do their work. Of each step that
// is done, tell hears. It returns a BusyError if another process runs the folder already.
func Start(ctx context.Context, o Options, tell func(done string)) (*Running, error) {
	if err := o.CheckPrograms(); err != nil {
		return nil, err
	}
	claim, err := take(o.Dir)
	if err != nil {
		return nil, err
	}
	r := &Running{options: o, claim: claim}
	if err := r.start(ctx, tell); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	if err := claim.ready(); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

func (r *Running) start(ctx context.Context, tell func(done string)) error {
	var err error
	if r.stack, err = stack.New(r.options.Dir, r.options.Bin); err != nil {
		return err
	}
	if err := r.stack.StartPlane(ctx); err != nil {
		return err
	}
	tell("the control plane runs")
	began := time.Now()
	if r.kubelet, err = r.stack.StartKubelet(ctx, ""); err != nil {
		return err
	}
	components, err := r.install(ctx, tell)
	if err != nil {
		return fmt.Errorf("installing the controllers: %w", err)
	}
	for _, name := range components {
		if err := r.works(ctx, name, began); err != nil {
			return err
		}
		tell(name + " works")
	}
	return nil
}

// install brings the manifests into the cluster, unless that is managed from Git by now. It
// returns the controllers that there are.
func (r *Running) install(ctx context.Context, tell func(done string)) ([]string, error) {
	d, err := discovery.NewDiscoveryClientForConfig(r.stack.Config)
	if err != nil {
		return nil, err
	}
	state, err := installation.Reader{Client: r.stack.Client, Discovery: d}.Look(ctx, r.options.Namespace)
	if err != nil {
		return nil, err
	}
	if by := state.Bootstrapped(); by != "" {
		tell(fmt.Sprintf("the controllers are those that Kustomization %s has from Git", by))
		return install.Describe(state.Here()).Components, nil
	}
	o := install.Default()
	o.Namespace, o.Components, o.Registry = r.options.Namespace, r.options.Components, registry
	objs, err := install.Objects(o)
	if err != nil {
		return nil, err
	}
	writer, err := installation.NewWriter(r.stack.Config)
	if err != nil {
		return nil, err
	}
	if _, err := writer.Put(ctx, types.NamespacedName{}, objs, false); err != nil {
		return nil, err
	}
	tell(fmt.Sprintf("weir %s is installed in namespace %q", o.Version, o.Namespace))
	return o.Components, nil
}

// lease is the kind by which a controller tells that it is the one that works.
var lease = schema.GroupVersionKind{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"}

// works waits until a controller has said that it works since a time. That Pods are ready
// says nothing of it here, where they are simulated.
func (r *Running) works(ctx context.Context, name string, since time.Time) error {
	key := types.NamespacedName{Namespace: r.options.Namespace, Name: name + "-leader-election"}
	if _, err := await.For(ctx, r.stack.Client, await.Target{GVK: lease, Key: key}, renewed(since), nil); err != nil {
		return fmt.Errorf("%s does not begin to work, see %s: %w", name, filepath.Join(r.options.Dir, name+".log"), err)
	}
	return nil
}

// renewed holds of a lease that somebody has renewed since a time.
func renewed(since time.Time) await.Condition {
	return func(obj *unstructured.Unstructured) await.Verdict {
		if obj == nil {
			return await.Verdict{Why: "it has not been started yet"}
		}
		holder, _, _ := unstructured.NestedString(obj.Object, "spec", "holderIdentity")
		text, _, _ := unstructured.NestedString(obj.Object, "spec", "renewTime")
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil || holder == "" || at.Before(since) {
			return await.Verdict{Why: "it has not taken its lease yet"}
		}
		return await.Verdict{Done: true}
	}
}

// Kubeconfig is the file that gives cluster admin.
func (r *Running) Kubeconfig() string { return r.stack.Kubeconfig }

// Stop ends everything. What the cluster holds stays.
func (r *Running) Stop() error {
	var err error
	if r.stack != nil {
		err = r.stack.Stop()
	}
	return errors.Join(err, r.claim.release())
}
