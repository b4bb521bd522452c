package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/gitserver"
)

const (
	branch     = "main"
	namespace  = "flux-system" // of Kustomizations and GitRepositories
	appSpace   = "apps"        // of what weir applies
	floorSpace = "floor"       // of what the floor applies
	sameSpace  = "same"        // of what it applies with the requests of a controller
	fleet      = "fleet"       // GitRepository of all applications
	// byHand is the field manager of what people change.
	byHand = "night-shift"
)

// world is everything that runs while scenarios are measured.
type world struct {
	*stack.Stack
	opts      options
	progress  io.Writer
	repo      *gitserver.Repo // of all applications
	repoURL   string
	charts    *stack.Charts // of releases
	meter     *meter
	floor     *floor
	before    []held // before there was anything
	planePIDs []int  // of the control plane
	scenario  string // that is being measured
	restless  int    // times that the cluster did not come to rest
}

// start brings up everything. What it returns must be ended even if there is an error.
func start(ctx context.Context, opts options, progress io.Writer) (*world, error) {
	all, err := stack.New(opts.dir, opts.bin)
	if err != nil {
		return nil, err
	}
	if all.Controllers, err = filepath.Abs(opts.folder()); err != nil {
		return nil, err
	}
	if err := all.Clear(ctx); err != nil {
		return nil, fmt.Errorf("removing what an earlier run left: %w", err)
	}
	w := &world{Stack: all, opts: opts, progress: progress, meter: &meter{}}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"a Kubernetes control plane", w.StartPlane},
		{"to look at its processes", w.findPlane},
		{"a git server", w.startGit},
		{"the API of weir", func(ctx context.Context) error { return w.InstallAPI(ctx, namespace) }},
		{"the controllers", w.startControllers},
		{"the client that is the floor", w.startFloor},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return w, fmt.Errorf("starting %s: %w", step.what, err)
		}
		fmt.Fprintf(progress, "started %s: %s s\n", step.what, seconds(time.Since(began)))
	}
	return w, nil
}

// end ends everything and removes it. After a failure, which an interruption is not,
// the logs are kept.
func (w *world) end(failed error) error {
	err := errors.Join(failed, w.Stop())
	if err != nil && !errors.Is(failed, context.Canceled) {
		return fmt.Errorf("%w\nlogs are in %s", err, w.Dir())
	}
	return errors.Join(err, w.Clear(context.Background())) // the caller's context may be over
}

func (w *world) startGit(ctx context.Context) (err error) {
	if err := w.StartGit(ctx); err != nil {
		return err
	}
	w.repo, w.repoURL, err = w.Repository(fleet)
	return err
}

// startFloor also applies something once, so that neither the floor nor weir pays for
// what the API server does the first time only.
func (w *world) startFloor(ctx context.Context) (err error) {
	const warmUp = "warm-up"
	for _, name := range []string{appSpace, floorSpace, sameSpace, warmUp} {
		if err := w.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return err
		}
	}
	if w.floor, err = newFloor(w.Config); err != nil {
		return err
	}
	objects, err := allObjects(warmUp, 1, firstVersion)
	if err != nil {
		return err
	}
	_, err = w.floor.apply(ctx, objects)
	return err
}

// version asks the API server for that of Kubernetes.
func (w *world) version(ctx context.Context) (string, error) {
	body, err := w.floor.get(ctx, "/version")
	if err != nil {
		return "", err
	}
	var info struct {
		GitVersion string `json:"gitVersion"`
	}
	return info.GitVersion, json.Unmarshal(body, &info)
}

// measured lets the cluster come to rest, does something, and returns what the
// controllers used for it, up to when the cluster has come to rest again.
func (w *world) measured(ctx context.Context, do func(context.Context) error) ([]spent, error) {
	if err := w.settle(ctx); err != nil {
		return nil, err
	}
	before, err := w.meter.begin(ctx)
	if err != nil {
		return nil, err
	}
	if err := do(ctx); err != nil {
		return nil, err
	}
	if err := w.settle(ctx); err != nil {
		return nil, err
	}
	return w.meter.end(ctx, before)
}

// unrest is how long controllers that are not weir's may keep the cluster from coming to
// rest before the measurement goes on.
const unrest = 30 * time.Second

var errRestless = errors.New("the cluster did not come to rest")

// settle waits until the cluster has come to rest. There are controllers that write
// again and again whether anything changes or not; that is noted, and no failure.
func (w *world) settle(ctx context.Context) error {
	if !w.opts.foreign() {
		return w.rest(ctx, w.opts.limit())
	}
	err := w.rest(ctx, unrest)
	if errors.Is(err, errRestless) {
		w.restless++
		return nil
	}
	return err
}

// rest waits until nothing is written any more but the leases of the cluster's own
// components: until its revision stands almost still for a second.
func (w *world) rest(ctx context.Context, most time.Duration) error {
	const (
		look   = 250 * time.Millisecond
		calm   = 4 // looks in a row
		leases = 3 // writes between two looks that mean nothing
	)
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("%w within %s", errRestless, most))
	defer cancel()
	last, err := w.revision(ctx)
	for quiet := 0; quiet < calm && err == nil; {
		if err := pause(ctx, look); err != nil {
			return err
		}
		var now uint64
		if now, err = w.revision(ctx); now-last <= leases {
			quiet++
		} else {
			quiet = 0
		}
		last = now
	}
	return err
}

// revision is how many writes the cluster has seen.
func (w *world) revision(ctx context.Context) (uint64, error) {
	var list corev1.NamespaceList
	if err := w.Client.List(ctx, &list, client.Limit(1)); err != nil {
		return 0, err
	}
	return strconv.ParseUint(list.ResourceVersion, 10, 64)
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// createSource creates a GitRepository.
func (w *world) createSource(ctx context.Context, name, url string) error {
	return w.Client.Create(ctx, &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: sourcev1.GitRepositorySpec{
			URL: url, Interval: metav1.Duration{Duration: w.opts.interval},
			Reference: &sourcev1.GitRepositoryRef{Branch: branch},
		},
	})
}

// createKustomization creates that of an application.
func (w *world) createKustomization(ctx context.Context, i int) error {
	return w.Client.Create(ctx, &kustomizev1.Kustomization{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: appName(i)},
		Spec: kustomizev1.KustomizationSpec{
			SourceRef: kustomizev1.SourceReference{Kind: sourcev1.GitRepositoryKind, Name: fleet},
			Path:      "./" + appPath(i),
			Interval:  metav1.Duration{Duration: w.opts.interval},
			Timeout:   &metav1.Duration{Duration: w.opts.limit()},
			Prune:     true,
			Wait:      true,
		},
	})
}

// ask asks for a look at a GitRepository, as a webhook does.
func (w *world) ask(ctx context.Context, name string) error {
	return w.askFor(ctx, &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
}

// askFor asks for a look at any object.
func (w *world) askFor(ctx context.Context, obj client.Object) error {
	token := strconv.FormatInt(time.Now().UnixNano(), 10)
	return w.patch(ctx, obj, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, meta.ReconcileRequestAnnotation, token))
}

// patch changes an object as people do.
func (w *world) patch(ctx context.Context, obj client.Object, change string) error {
	return w.Client.Patch(ctx, obj, client.RawPatch("application/merge-patch+json", []byte(change)), client.FieldOwner(byHand))
}
