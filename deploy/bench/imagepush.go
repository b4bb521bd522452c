package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

// pushed is the name of an image, and of all that leads from it to where it runs.
const pushed = "pushed"

// stages are how long each part of the way from an image to where it runs takes: until
// its tag was found, selected, committed, published and applied.
type stages [5]time.Duration

func stageNames() [5]string { return [5]string{"scan", "policy", "commit", "artifact", "applied"} }

func (s stages) total() time.Duration {
	var sum time.Duration
	for _, d := range s {
		sum += d
	}
	return sum
}

// since returns how long stages take that begin, and end one after the other, at times.
func since(began time.Time, ends [5]time.Time) stages {
	var s stages
	for i, end := range ends {
		s[i], began = end.Sub(began), end
	}
	return s
}

// delivery is what leads from an image to where it runs.
type delivery struct {
	w        *world
	registry *images
	repo     *gitserver.Repo
}

// pushImages pushes images and tells nobody. Measured is the time until the Deployment has
// the image. There is no floor: how long it takes is how long nobody looks, and what all
// the controllers do then.
func pushImages(ctx context.Context, w *world) (_ result, err error) {
	r, err := startRegistry(ctx)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	d := delivery{w: w, registry: r}
	objects, err := d.install(ctx)
	if err != nil {
		return result{}, err
	}
	all := make([]stages, w.opts.pushes)
	var requests, scans int64
	used, err := w.measured(ctx, func(ctx context.Context) (err error) {
		requests, scans = r.requests.Load(), r.scans.Load()
		for round := range all {
			// Pushes are spread over the interval, as they are in life.
			if err := pause(ctx, w.opts.pushInterval*time.Duration(round)/time.Duration(w.opts.pushes)); err != nil {
				return err
			}
			if all[round], err = d.push(ctx, round+1); err != nil {
				return fmt.Errorf("push %d: %w", round+1, err)
			}
		}
		requests, scans = r.requests.Load()-requests, r.scans.Load()-scans
		return nil
	})
	if err != nil {
		return result{}, err
	}
	times := make([]time.Duration, len(all))
	for i, s := range all {
		times[i] = s.total()
	}
	return result{
		goal: "half of the interval, and 0.5 s", took: median(times), rounds: w.opts.pushes, programs: used,
		notes: []string{
			fmt.Sprintf("all intervals are %s, and nobody is told of a push; %s", w.opts.pushInterval, spread(times)),
			stageNote(all),
			fmt.Sprintf("the registry is asked %d times for %d pushes, in %d scans", requests, len(all), scans),
		},
	}, w.remove(ctx, objects...)
}

// stageNote tells the medians of the stages.
func stageNote(all []stages) string {
	var parts []string
	var behind []time.Duration
	for i, name := range stageNames() {
		times := make([]time.Duration, len(all))
		for k, s := range all {
			times[k] = s[i]
		}
		parts = append(parts, name+" "+seconds(median(times))+" s")
	}
	for _, s := range all {
		behind = append(behind, s.total()-s[0])
	}
	return fmt.Sprintf("stages: %s; from the scan on, all take %s s", strings.Join(parts, ", "), seconds(median(behind)))
}

// install lets the first image go live, and returns the objects that lead there.
func (d *delivery) install(ctx context.Context) ([]client.Object, error) {
	w := d.w
	repo, url, err := w.Repository(pushed)
	if err != nil {
		return nil, err
	}
	d.repo = repo
	file := strings.NewReplacer("NAMESPACE", appSpace, "NAME", pushed, "IMAGE", d.registry.image(pushed), "TAG", oldTag, "POLICY", namespace+":"+pushed).Replace(markedFile)
	if _, err := d.repo.Commit(branch, "Add the application", gitserver.File("app/deployment.yaml", file)); err != nil {
		return nil, err
	}
	if err := d.registry.push(ctx, pushed, imageTag(0)); err != nil {
		return nil, err
	}
	v, err := d.live(ctx)
	if err != nil {
		return nil, err
	}
	defer v.stop()
	interval := metav1.Duration{Duration: w.opts.pushInterval}
	objects := []client.Object{
		updater(pushed, pushed, w.opts.pushInterval), selector(pushed, pushed, "1.x"), scanner(pushed, d.registry, w.opts.pushInterval),
		&kustomizev1.Kustomization{ObjectMeta: inNamespace(pushed), Spec: kustomizev1.KustomizationSpec{
			SourceRef: kustomizev1.SourceReference{Kind: sourcev1.GitRepositoryKind, Name: pushed},
			Path:      "./app", Interval: interval, Prune: true, Wait: true,
		}},
		&sourcev1.GitRepository{ObjectMeta: inNamespace(pushed), Spec: sourcev1.GitRepositorySpec{
			URL: url, Interval: interval, Reference: &sourcev1.GitRepositoryRef{Branch: branch},
		}},
	}
	if err := w.create(ctx, objects...); err != nil {
		return nil, err
	}
	_, err = v.until(ctx, d.has(0))
	return objects, err
}

// live shows the Deployment.
func (d *delivery) live(ctx context.Context) (*view, error) {
	return d.w.follow(ctx, &appsv1.DeploymentList{}, named(appSpace, pushed)...)
}

// has is the goal that the Deployment has the image of a round.
func (d *delivery) has(round int) once {
	wanted := d.registry.image(pushed) + ":" + imageTag(round)
	return once{"a Deployment with the image " + wanted, func(e watch.Event) bool { return image(e.Object) == wanted }}
}

// push pushes the image of a round and returns how long each stage takes.
func (d *delivery) push(ctx context.Context, round int) (stages, error) {
	var views [4]*view
	for i, list := range []client.ObjectList{&imagev1.ImageRepositoryList{}, &imagev1.ImagePolicyList{}, &sourcev1.GitRepositoryList{}} {
		v, err := d.w.follow(ctx, list, named(namespace, pushed)...)
		if err != nil {
			return stages{}, err
		}
		defer v.stop()
		views[i] = v
	}
	v, err := d.live(ctx)
	if err != nil {
		return stages{}, err
	}
	defer v.stop()
	views[3] = v
	before, err := d.repo.Head(branch)
	if err != nil {
		return stages{}, err
	}
	began := time.Now()
	if err := d.registry.push(ctx, pushed, imageTag(round)); err != nil {
		return stages{}, err
	}
	ends, err := d.pass(ctx, views, round, before)
	return since(began, ends), err
}

// pass returns when each stage has ended.
func (d *delivery) pass(ctx context.Context, views [4]*view, round int, before string) (ends [5]time.Time, err error) {
	if ends[0], err = views[0].until(ctx, once{"a scan that finds the tag", found(round + 1)}); err != nil {
		return ends, err
	}
	if ends[1], err = views[1].until(ctx, once{"a policy that selects the tag", selects(imageTag(round))}); err != nil {
		return ends, err
	}
	revision, moved, err := d.w.untilMoved(ctx, d.repo, before)
	if err != nil {
		return ends, err
	}
	ends[2] = moved
	if ends[3], err = views[2].until(ctx, once{"an artifact of " + revision, publishes(revision)}); err != nil {
		return ends, err
	}
	ends[4], err = views[3].until(ctx, d.has(round))
	return ends, err
}

// found says that an event tells of a scan that has found n tags.
func found(n int) func(watch.Event) bool {
	return func(e watch.Event) bool {
		r, ok := e.Object.(*imagev1.ImageRepository)
		return ok && r.Status.LastScanResult != nil && r.Status.LastScanResult.TagCount == n
	}
}

// publishes says that an event tells of a GitRepository with an artifact of a revision.
func publishes(revision string) func(watch.Event) bool {
	return func(e watch.Event) bool {
		r, ok := e.Object.(*sourcev1.GitRepository)
		return ok && r.Status.Artifact != nil && strings.HasSuffix(r.Status.Artifact.Revision, revision)
	}
}
