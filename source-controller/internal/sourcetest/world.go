// Package sourcetest is what the tests of all kinds of sources share: an API server,
// a source-controller as users run it, and looks at what it stores, serves and tells.
package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"weir.dev/pkg/daemon"
	"weir.dev/pkg/testplane"
	"weir.dev/source-controller/internal/source"
)

// quietFor is how long no request must come for a controller to count as settled.
const quietFor = 700 * time.Millisecond

// World is a plane with a source-controller.
type World struct {
	*testplane.Plane
	T    *testing.T
	Dir  string // storage of the controller
	Log  Logbook
	Stop func() // ends the controller

	run func(context.Context, *daemon.Daemon) error
}

// Prepare returns a World whose controller, which is run, was not started.
func Prepare(t *testing.T, run func(context.Context, *daemon.Daemon) error) *World {
	t.Helper()
	w := &World{Plane: testplane.Start(t), T: t, Dir: t.TempDir(), run: run}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the controller:\n%s", w.Log.String())
		}
	})
	return w
}

// Start starts a controller, which repeats what fails soon. More flags may be given to
// it.
func (w *World) Start(flags ...string) {
	w.T.Helper()
	ctrllog.SetLogger(logr.Discard()) // that of libraries which are given none
	flags = append([]string{
		"--storage-path=" + w.Dir, "--storage-addr=127.0.0.1:0", "--min-retry-delay=50ms", "--max-retry-delay=500ms",
	}, flags...)
	w.Stop = w.Run("source-controller", func(ctx context.Context, d *daemon.Daemon) error {
		d.Log = funcr.New(w.Log.add, funcr.Options{Verbosity: 1, LogTimestamp: true})
		return w.run(ctx, d)
	}, flags...)
}

// Restart ends the controller and starts another on the same storage.
func (w *World) Restart(flags ...string) {
	w.T.Helper()
	w.Stop()
	w.Start(flags...)
}

// Secret creates a Secret and returns the reference to it.
func (w *World) Secret(name string, data map[string]string) *meta.LocalObjectReference {
	w.T.Helper()
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data})
	return &meta.LocalObjectReference{Name: name}
}

// WaitPublished waits until obj is Ready with the revision, and checks that what it
// advertises can be had.
func (w *World) WaitPublished(obj source.Object, revision string) {
	w.T.Helper()
	w.Wait("revision "+revision, obj, func() bool {
		c := conditions.Get(obj, meta.ReadyCondition)
		return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == obj.GetGeneration() &&
			obj.GetArtifact() != nil && obj.GetArtifact().Revision == revision
	})
	w.Download(obj)
}

// File is the path on disk of the artifact of obj.
func (w *World) File(obj source.Object) string {
	return filepath.Join(w.Dir, filepath.FromSlash(obj.GetArtifact().Path))
}

// Stored lists the names of the files that the storage has for an object of a kind.
func (w *World) Stored(kind string, obj client.Object) []string {
	w.T.Helper()
	entries, err := os.ReadDir(filepath.Join(w.Dir, strings.ToLower(kind), obj.GetNamespace(), obj.GetName()))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.T.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Again asks for a run of obj now, and waits for its end.
func (w *World) Again(obj conditions.Getter) {
	w.T.Helper()
	w.Poke(obj)
	w.WaitHandled(obj)
}

// WaitEvent waits for an event about obj whose message has all the parts, and returns
// it.
func (w *World) WaitEvent(obj client.Object, kind, reason string, parts ...string) corev1.Event {
	w.T.Helper()
	var found corev1.Event
	w.Eventually(fmt.Sprintf("an event %s %s with %q", kind, reason, parts), func() bool {
		for _, e := range w.Events(obj) {
			if e.Type == kind && e.Reason == reason && Says(e.Message, parts...) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// Events are those about obj, in the order in which they happened.
func (w *World) Events(obj client.Object) []corev1.Event {
	w.T.Helper()
	var list corev1.EventList
	if err := w.Client.List(w.T.Context(), &list, client.InNamespace(w.Namespace)); err != nil {
		w.T.Fatal(err)
	}
	list.Items = slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return e.InvolvedObject.UID != obj.GetUID() })
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int { return strings.Compare(a.Name, b.Name) })
	return list.Items
}

// Settle waits until the controller asks the API server nothing more.
func (w *World) Settle() {
	w.T.Helper()
	last, since := -1, time.Now()
	w.Eventually("no more requests", func() bool {
		if n := w.Traffic.Count(testplane.Any); n != last || w.Traffic.Open() > 0 {
			last, since = n, time.Now()
		}
		return time.Since(since) > quietFor
	})
}

// Says reports whether a text has all the parts.
func Says(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

// Logbook is what a controller logs.
type Logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *Logbook) add(prefix, args string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(&l.text, prefix, args)
}

// String returns what was logged so far.
func (l *Logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
