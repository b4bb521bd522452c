package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "weir.dev/api/helm/v2"
	sourcev1 "weir.dev/api/source/v1"
)

const (
	releaseSpace      = "releases"       // of what releases consist of
	releaseFloorSpace = "releases-floor" // of what the floor applies for them
	chartName         = "app"
	chartSource       = "charts" // HelmRepository
)

// releaseChart is the files of the chart: the objects of an application. The version that
// they carry is that of the chart, unless a value says otherwise.
func releaseChart() map[string]string {
	files := map[string]string{"values.yaml": "version: \"\"\n"}
	for _, t := range templates() {
		files["templates/"+t.file] = strings.NewReplacer(
			"NAMESPACE", "{{ .Release.Namespace }}", "NAME", "{{ .Release.Name }}", "VERSION", "{{ .Values.version | default .Chart.Version }}",
		).Replace(t.text)
	}
	return files
}

// release is the HelmRelease of an application.
func (w *world) release(i int) *helmv2.HelmRelease {
	return &helmv2.HelmRelease{
		ObjectMeta: inNamespace(appName(i)),
		Spec: helmv2.HelmReleaseSpec{
			Interval: metav1.Duration{Duration: w.opts.interval}, Timeout: &metav1.Duration{Duration: w.opts.limit()},
			ReleaseName: appName(i), TargetNamespace: releaseSpace,
			Chart: &helmv2.HelmChartTemplate{Spec: helmv2.HelmChartTemplateSpec{
				Chart: chartName, Version: "*",
				SourceRef: helmv2.CrossNamespaceObjectReference{Kind: sourcev1.HelmRepositoryKind, Name: chartSource},
			}},
			DriftDetection: &helmv2.DriftDetection{Mode: helmv2.DriftDetectionEnabled},
		},
	}
}

// releasesStart makes what the scenarios of releases need, once.
func (w *world) releasesStart(ctx context.Context) (err error) {
	for _, name := range []string{releaseSpace, releaseFloorSpace} {
		if err := w.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return err
		}
	}
	if w.charts, err = w.StartCharts(ctx); err != nil {
		return err
	}
	if err := w.charts.Publish(chartName, firstVersion, releaseChart()); err != nil {
		return err
	}
	source := &sourcev1.HelmRepository{
		ObjectMeta: inNamespace(chartSource),
		Spec:       sourcev1.HelmRepositorySpec{URL: w.charts.URL, Interval: metav1.Duration{Duration: w.opts.interval}},
	}
	if err := w.Client.Create(ctx, source); err != nil {
		return err
	}
	return w.Until(ctx, source, func() bool { return conditions.IsTrue(source, meta.ReadyCondition) })
}

// installReleases creates all HelmReleases at once, and waits until each is ready.
func installReleases(ctx context.Context, w *world) (result, error) {
	if err := w.releasesStart(ctx); err != nil {
		return result{}, err
	}
	before, err := w.heldByReleases(ctx, "before")
	if err != nil {
		return result{}, err
	}
	r, err := w.allReleases(ctx, releasing{floorVersion: firstVersion, revision: 1, chart: firstVersion}, func(ctx context.Context) error {
		return inParallel(ctx, w.opts.apps, func(ctx context.Context, i int) error { return w.Client.Create(ctx, w.release(i)) })
	})
	if err != nil {
		return result{}, err
	}
	after, err := w.heldByReleases(ctx, "installed")
	r.goal, r.memory = "1.5 x floor", append(before, after...)
	return r, err
}

// upgradeValues changes a value of all HelmReleases at once.
func upgradeValues(ctx context.Context, w *world) (result, error) {
	const version = "1.5.0"
	r, err := w.allReleases(ctx, releasing{floorVersion: version, revision: 2, chart: firstVersion}, func(ctx context.Context) error {
		return inParallel(ctx, w.opts.apps, func(ctx context.Context, i int) error {
			return w.patch(ctx, w.release(i), fmt.Sprintf(`{"spec":{"values":{"version":%q}}}`, version))
		})
	})
	r.goal = "1.5 x floor"
	return r, err
}

// upgradeCharts publishes a version of the chart, whose files are another, and asks for a look
// at the repository.
func upgradeCharts(ctx context.Context, w *world) (result, error) {
	r, err := w.allReleases(ctx, releasing{floorVersion: secondVersion, revision: 3, chart: secondVersion}, func(ctx context.Context) error {
		files := releaseChart()
		for name, text := range files {
			files[name] = strings.ReplaceAll(text, ".Values.version | default .Chart.Version", ".Chart.Version")
		}
		if err := w.charts.Publish(chartName, secondVersion, files); err != nil {
			return err
		}
		return w.askFor(ctx, &sourcev1.HelmRepository{ObjectMeta: inNamespace(chartSource)})
	})
	r.goal = "1.5 x floor"
	return r, err
}

// idleReleases looks on while nothing changes but the time.
func idleReleases(ctx context.Context, w *world) (result, error) {
	used, err := w.measured(ctx, func(ctx context.Context) error { return pause(ctx, w.opts.idle) })
	if err != nil {
		return result{}, err
	}
	after, err := w.heldByReleases(ctx, "idle")
	return result{
		goal: "0 requests", rounds: 1, programs: used, memory: after,
		notes: []string{fmt.Sprintf("for %s, with intervals of %s, while the Kustomizations are there too", w.opts.idle, w.opts.interval)},
	}, err
}

// changeReleased changes a field by hand, each time of another release.
func changeReleased(ctx context.Context, w *world) (result, error) {
	low, err := w.floorFields(ctx, releaseFloorSpace)
	if err != nil {
		return result{}, err
	}
	times, used, err := w.rounds(ctx, func(ctx context.Context, round int) (time.Duration, error) {
		return w.changeField(ctx, releaseSpace, w.appOf(round))
	})
	if err != nil {
		return result{}, err
	}
	return result{
		goal: "0.1 s, 3 requests", took: median(times), floor: low, rounds: w.opts.rounds, programs: used,
		notes: []string{spread(times)},
	}, nil
}

// removeReleases deletes all HelmReleases, and waits until they are gone, which takes the end
// of their objects and their stored releases.
func removeReleases(ctx context.Context, w *world) (result, error) {
	low, err := w.floorRemove(ctx)
	if err != nil {
		return result{}, err
	}
	var took time.Duration
	used, err := w.measured(ctx, func(ctx context.Context) error {
		v, err := w.follow(ctx, &helmv2.HelmReleaseList{}, client.InNamespace(namespace))
		if err != nil {
			return err
		}
		defer v.stop()
		took, err = v.within(ctx, func(ctx context.Context) error {
			return w.Client.DeleteAllOf(ctx, &helmv2.HelmRelease{}, client.InNamespace(namespace))
		}, &gone{left: w.opts.apps})
		return err
	})
	if err != nil {
		return result{}, err
	}
	var left corev1.SecretList
	if err := w.Client.List(ctx, &left, client.InNamespace(namespace), client.MatchingLabels{"owner": "helm"}); err != nil {
		return result{}, err
	}
	if n := len(left.Items); n > 0 {
		return result{}, fmt.Errorf("%d releases are still stored", n)
	}
	return result{
		goal: "1.5 x floor", took: took, floor: low, rounds: 1, programs: used,
		notes: []string{fmt.Sprintf("%.1f requests a HelmRelease", requestsEach(used, w.opts.apps))},
	}, nil
}

// gone is the goal that so many objects are deleted.
type gone struct{ left int }

func (g *gone) reached(e watch.Event) bool {
	if e.Type == watch.Deleted {
		g.left--
	}
	return g.left <= 0
}

func (g *gone) open() string { return fmt.Sprintf("%d are still there", g.left) }

// releasing is what becomes of all releases.
type releasing struct {
	floorVersion string // that the floor applies
	revision     int    // of each stored release
	chart        string // version
}

// allReleases lets the floor apply all objects and one stored release each, then does
// something, and waits until all HelmReleases are ready with another release.
func (w *world) allReleases(ctx context.Context, r releasing, do func(context.Context) error) (result, error) {
	low, least, err := w.floorReleases(ctx, r)
	if err != nil {
		return result{}, err
	}
	var ours busy
	used, err := w.measured(ctx, func(ctx context.Context) error {
		v, err := w.follow(ctx, &helmv2.HelmReleaseList{}, client.InNamespace(namespace))
		if err != nil {
			return err
		}
		defer v.stop()
		ours, err = w.watched(ctx, "the controllers", func(ctx context.Context) (time.Duration, error) {
			return v.within(ctx, do, w.allReleased(r))
		})
		return err
	})
	return result{
		took: ours.took, floor: low, rounds: 1, programs: used, busy: []busy{least, ours},
		notes: []string{fmt.Sprintf("%.1f requests a HelmRelease", requestsEach(used, w.opts.apps))},
	}, err
}

// allReleased is the goal that all HelmReleases are ready with a certain release.
func (w *world) allReleased(r releasing) *everyone {
	is := func(obj client.Object) bool {
		hr, ok := obj.(*helmv2.HelmRelease)
		if !ok || hr.Status.ObservedGeneration != hr.Generation || !conditions.IsTrue(hr, meta.ReadyCondition) || len(hr.Status.History) == 0 {
			return false
		}
		newest := hr.Status.History[0]
		return newest.Version == r.revision && newest.ChartVersion == r.chart && newest.Status == "deployed"
	}
	says := func(obj client.Object) string {
		hr, ok := obj.(*helmv2.HelmRelease)
		if !ok {
			return ""
		}
		return conditions.GetMessage(hr, meta.ReadyCondition)
	}
	return newEveryone(w.opts.apps, is, says)
}

// heldByReleases returns what helm-controller has in memory, to be divided by the releases.
func (w *world) heldByReleases(ctx context.Context, when string) ([]held, error) {
	if err := w.settle(ctx); err != nil {
		return nil, err
	}
	all, err := w.meter.held(ctx, when)
	if err != nil {
		return nil, err
	}
	for _, h := range all {
		if h.program == helmController {
			h.program = helmController + ", a HelmRelease each"
			return []held{h}, nil
		}
	}
	return nil, errors.New(helmController + " is not measured")
}

// floorReleases lets the floor apply what releases consist of, and store a release each.
func (w *world) floorReleases(ctx context.Context, r releasing) (*bound, busy, error) {
	objects, err := allObjects(releaseFloorSpace, w.opts.apps, r.floorVersion)
	if err != nil {
		return nil, busy{}, err
	}
	for i := range w.opts.apps {
		stored, err := storedRelease(i, r)
		if err != nil {
			return nil, busy{}, err
		}
		objects = append(objects, stored)
	}
	if err := w.settle(ctx); err != nil {
		return nil, busy{}, err
	}
	var low bound
	used, err := w.watched(ctx, "the floor", func(ctx context.Context) (time.Duration, error) {
		low, err = w.floor.apply(ctx, objects)
		return low.took, err
	})
	return &low, used, err
}

// floorRemove lets the floor delete what it has applied for releases.
func (w *world) floorRemove(ctx context.Context) (*bound, error) {
	objects, err := allObjects(releaseFloorSpace, w.opts.apps, secondVersion)
	if err != nil {
		return nil, err
	}
	for i := range w.opts.apps {
		for revision := 1; revision <= 3; revision++ {
			objects = append(objects, object{path: storedPath(i, revision)})
		}
	}
	if err := w.settle(ctx); err != nil {
		return nil, err
	}
	low, err := w.floor.each(ctx, len(objects), http.MethodDelete, func(ctx context.Context, i int) error {
		_, err := w.floor.do(ctx, http.MethodDelete, objects[i].path, nil)
		return err
	})
	return &low, err
}

// storedPath is that of the Secret by which Helm would remember a release.
func storedPath(i, revision int) string {
	return fmt.Sprintf("/api/v1/namespaces/%s/secrets/sh.helm.release.v1.%s.v%d", releaseFloorSpace, appName(i), revision)
}
