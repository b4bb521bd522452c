package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		args []string
		env  string // BENCH_CONTROLLERS
		want options
	}{
		"measures what the recorded results measure": {
			why: "they are compared",
			want: options{
				apps: 100, interval: time.Minute, idle: time.Minute, rounds: 6, pause: 3 * time.Second,
				files: 1000, commits: 200, pushes: 20, pushInterval: 5 * time.Second, dir: ".cache/bench", bin: "bin",
			},
		},
		"quick measures little, but for what is asked for": {
			why: "the flag before or behind -quick counts", args: []string{"-n", "7", "-quick", "-idle", "1s"},
			want: options{
				apps: 7, interval: 2 * time.Second, idle: time.Second, rounds: 2, pause: 500 * time.Millisecond,
				files: 100, commits: 10, pushes: 2, pushInterval: time.Second, dir: ".cache/bench", bin: "bin",
			},
		},
		"takes other controllers from the environment": {
			why: "it is how other benchmarks are told", env: "/opt/others", args: []string{"-quick"},
			want: options{
				apps: 10, interval: 2 * time.Second, idle: 5 * time.Second, rounds: 2, pause: 500 * time.Millisecond,
				files: 100, commits: 10, pushes: 2, pushInterval: time.Second, dir: ".cache/bench", bin: "bin", controllers: "/opt/others",
			},
		},
		"and rather from the flag": {
			why: "it is nearer", env: "/opt/others", args: []string{"-quick", "-controllers=/opt/third"},
			want: options{
				apps: 10, interval: 2 * time.Second, idle: 5 * time.Second, rounds: 2, pause: 500 * time.Millisecond,
				files: 100, commits: 10, pushes: 2, pushInterval: time.Second, dir: ".cache/bench", bin: "bin", controllers: "/opt/third",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := func(key string) string { return map[string]string{"BENCH_CONTROLLERS": tc.env}[key] }
			got, err := parse(tc.args, env, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(options{})); diff != "" {
				t.Errorf("parse, -want +got (%s):\n%s", tc.why, diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		args []string
	}{
		"no applications":    {why: "there is nothing to measure", args: []string{"-n=0"}},
		"no rounds":          {why: "there is no median of nothing", args: []string{"-rounds=0"}},
		"no interval":        {why: "the API refuses it later, less clearly", args: []string{"-interval=0s"}},
		"no pushes":          {why: "there is no median of nothing", args: []string{"-pushes=0"}},
		"no time to push":    {why: "the API refuses it later, less clearly", args: []string{"-push-interval=0s"}},
		"no scenario":        {why: "there is nothing to measure", args: []string{"-only=nothing of the kind"}},
		"anything but flags": {why: "it would be ignored", args: []string{"install"}},
		"an unknown flag":    {why: "it would be ignored", args: []string{"-fast"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := parse(tc.args, noEnv, io.Discard); err == nil {
				t.Errorf("parse(%q) = %+v, want an error (%s)", tc.args, got, tc.why)
			}
		})
	}
}

// TestOnly: a part is measured by itself, and kept beside the whole.
func TestOnly(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-n=1000", "-only=idle with"}, noEnv, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range scenarios(o) {
		got = append(got, s.name)
	}
	if diff := cmp.Diff([]string{"idle with releases"}, got); diff != "" {
		t.Errorf("scenarios (-want +got):\n%s", diff)
	}
	if got, want := reportName(o, machine{date: "2026-11-26", cores: 2}), "2026-11-26-2core-1000apps-idle-with.txt"; got != want {
		t.Errorf("the report is %q, want %q", got, want)
	}
}

// TestWhatOthersCannotDoIsMarked: a comparison goes on, and a measurement of weir does not.
func TestWhatOthersCannotDoIsMarked(t *testing.T) {
	t.Parallel()
	errSlow := errors.New("it took too long")
	list := []scenario{
		{"first", func(context.Context, *world) (result, error) { return result{}, errSlow }},
		{"second", func(_ context.Context, w *world) (result, error) {
			w.restless = 2
			return result{took: time.Second}, nil
		}},
	}
	for controllers, goesOn := range map[string]bool{"": false, "/opt/others": true} {
		w := &world{opts: options{controllers: controllers}, progress: io.Discard}
		results, err := measure(t.Context(), w, list)
		if !goesOn {
			if !errors.Is(err, errSlow) {
				t.Errorf("with weir: measure = %v, want %v", err, errSlow)
			}
			continue
		}
		if err != nil || len(results) != 2 || !results[0].failed || results[1].failed {
			t.Fatalf("with others: measure = %+v, %v; want the first marked", results, err)
		}
		rows := timeRows(results)
		if rows[0][2] != "failed" || rows[1][2] != "1.000" {
			t.Errorf("times are %q and %q; want the first to say that it failed", rows[0][2], rows[1][2])
		}
		report := render(machine{}, w.opts, results)
		for _, want := range []string{errSlow.Error(), "second: the cluster did not come to rest", "controllers of /opt/others"} {
			if !strings.Contains(report, want) {
				t.Errorf("the report does not say %q:\n%s", want, report)
			}
		}
	}
}

// TestWithin: events come while something is done, more than a view keeps.
func TestWithin(t *testing.T) {
	t.Parallel()
	const n = 10 * ahead
	errLate := errors.New("late")
	for name, fault := range map[string]error{"done": nil, "failed": errLate} {
		events := watch.NewFakeWithChanSize(n, false)
		v := &view{limit: time.Minute, events: make(chan seen, ahead), done: make(chan struct{})}
		go v.take(events)
		ready := newEveryone(n, func(client.Object) bool { return true }, func(client.Object) string { return "" })
		_, err := v.within(t.Context(), func(context.Context) error {
			for i := range n {
				events.Add(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i)}})
			}
			return fault
		}, ready)
		v.stop()
		if !errors.Is(err, fault) {
			t.Errorf("%s: within = %v, want %v", name, err, fault)
		}
	}
}

// TestViewGoesOn: the API server ends the watch of somebody who is slow.
func TestViewGoesOn(t *testing.T) {
	t.Parallel()
	watchOf := func(version string) watch.Interface {
		events := watch.NewFakeWithChanSize(1, false)
		events.Add(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "s" + version, ResourceVersion: version}})
		events.Stop()
		return events
	}
	errNoMore := errors.New("no more")
	var asked []string
	v := &view{limit: time.Minute, events: make(chan seen, ahead), done: make(chan struct{}), open: func(version string) (watch.Interface, error) {
		asked = append(asked, version)
		if version == "3" {
			return nil, errNoMore
		}
		return watchOf("3"), nil
	}}
	defer v.stop()
	go v.take(watchOf("2"))
	all := newEveryone(2, func(client.Object) bool { return true }, func(client.Object) string { return "" })
	if _, err := v.until(t.Context(), all); err != nil {
		t.Fatalf("until = %v, want both objects", err)
	}
	if _, err := v.until(t.Context(), once{"one more", func(watch.Event) bool { return false }}); !errors.Is(err, errNoMore) {
		t.Errorf("until = %v, want %v: a watch that cannot go on is told", err, errNoMore)
	}
	if diff := cmp.Diff([]string{"2", "3"}, asked); diff != "" {
		t.Errorf("watches begun anew, by version (-want +got):\n%s", diff)
	}
}

// TestViewStartsAnew: what was seen last can be so long ago that the API server has
// forgotten it.
func TestViewStartsAnew(t *testing.T) {
	t.Parallel()
	errNoMore := errors.New("no more")
	var asked []string
	v := &view{limit: time.Minute, events: make(chan seen, ahead), done: make(chan struct{}), open: func(version string) (watch.Interface, error) {
		asked = append(asked, version)
		if len(asked) > 1 {
			return nil, errNoMore
		}
		events := watch.NewFakeWithChanSize(1, false)
		events.Add(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
		return events, nil
	}}
	defer v.stop()
	first := watch.NewFakeWithChanSize(2, false)
	first.Action(watch.Bookmark, &corev1.Service{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "2"}})
	expired := apierrors.NewResourceExpired("too old resource version").Status()
	first.Error(&expired)
	go v.take(first)
	all := newEveryone(1, func(client.Object) bool { return true }, func(client.Object) string { return "" })
	if _, err := v.until(t.Context(), all); err != nil {
		t.Fatalf("until = %v, want the object", err)
	}
	if diff := cmp.Diff([]string{""}, asked); diff != "" {
		t.Errorf("watches begun anew, by version (-want +got):\n%s", diff)
	}
}

// The floor is one only if it applies the very same objects.
func TestFloorAppliesWhatTheRepositoryHas(t *testing.T) {
	t.Parallel()
	const version = "3.2.1"
	files := appFiles("space", 42, version)
	objects, err := appObjects("space", 42, version)
	if err != nil {
		t.Fatal(err)
	}
	inRepository := map[string]bool{}
	for path, text := range files {
		if strings.HasSuffix(path, "/kustomization.yaml") {
			continue
		}
		data, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		inRepository[string(data)] = true
	}
	applied := map[string]bool{}
	for _, o := range objects {
		applied[string(o.data)] = true
		if !strings.Contains(o.path, "/namespaces/space/") || !strings.HasSuffix(o.path, "/app-0042") {
			t.Errorf("path %q is not that of app-0042 in space", o.path)
		}
		if !strings.Contains(string(o.data), version) {
			t.Errorf("%s does not depend on the version, so that an upgrade would leave it alone", o.path)
		}
	}
	if !maps.Equal(inRepository, applied) || len(applied) != 4 {
		t.Errorf("in the repository: %v\napplied by the floor: %v", inRepository, applied)
	}
	if got := ofResource(objects, "services"); len(got) != 1 || !strings.HasSuffix(got[0].path, "/services/app-0042") {
		t.Errorf("ofResource(services) = %v", got)
	}
}

func TestLargeFilesDiffer(t *testing.T) {
	t.Parallel()
	if largeFile(1, 0) == largeFile(1, 1) || largeFile(1, 0) == largeFile(2, 0) {
		t.Error("two files, or two versions of one, are the same")
	}
	if first, second := largeFile(1, 1), largeFile(1, 1); first != second {
		t.Error("a file is not the same each time")
	}
	paths := map[string]bool{}
	for i := range 1000 {
		paths[largePath(i)] = true
	}
	if len(paths) != 1000 {
		t.Errorf("1000 files have %d paths", len(paths))
	}
}

func TestEveryone(t *testing.T) {
	t.Parallel()
	ready := func(obj client.Object) bool { return obj.GetLabels()["ready"] == "yes" }
	says := func(client.Object) string { return "not ready" }
	event := func(kind watch.EventType, name, ready string) watch.Event {
		return watch.Event{Type: kind, Object: &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"ready": ready}}}}
	}
	steps := []struct {
		why   string
		event watch.Event
		want  bool
	}{
		{"one of two is not all", event(watch.Added, "a", "yes"), false},
		{"the same one again is still one", event(watch.Modified, "a", "yes"), false},
		{"the other is not ready", event(watch.Added, "b", "no"), false},
		{"the first has left", event(watch.Modified, "a", "no"), false},
		{"only the second is ready", event(watch.Modified, "b", "yes"), false},
		{"both are", event(watch.Modified, "a", "yes"), true},
		{"what is deleted does not count", event(watch.Deleted, "b", "yes"), false},
	}
	g := newEveryone(2, ready, says)
	for _, s := range steps {
		if got := g.reached(s.event); got != s.want {
			t.Errorf("reached = %t, want %t: %s", got, s.want, s.why)
		}
	}
	if got, want := g.open(), "1 of 2 are as they should be; b: not ready"; got != want {
		t.Errorf("open = %q, want %q", got, want)
	}
}
