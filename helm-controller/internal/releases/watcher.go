package releases

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"weir.dev/pkg/watch"
)

// Version is what is known of a stored version without reading it.
type Version struct {
	Number          int
	Status          release.Status // by the label
	ResourceVersion string
}

// Index is the stored versions of a release, the newest first.
type Index []Version

// Newest returns the newest version, if there is one.
func (x Index) Newest() (newest Version, ok bool) {
	if len(x) == 0 {
		return Version{}, false
	}
	return x[0], true
}

// Watcher knows which releases a cluster stores, whoever made them, by a watch of the
// metadata of Helm's Secrets. It is safe for concurrent use.
type Watcher struct {
	wake func(storageNamespace, release string)
	set  *watch.Set

	mu       sync.Mutex
	listed   bool // and kept current since
	once     bool // it was listed before
	releases map[types.NamespacedName]*known
}

// NewWatcher returns a Watcher of the Secrets that open opens; their metadata is enough.
// It watches while Start runs. wake is called, without blocking, when somebody else has
// written or deleted a version of a release, and when Known would now answer in another
// way to one who was told that nothing is known.
func NewWatcher(open func(schema.GroupVersionResource) watch.Source, wake func(storageNamespace, release string)) *Watcher {
	w := &Watcher{wake: wake, releases: make(map[types.NamespacedName]*known)}
	w.set = watch.NewSet(open, w, watch.Options{Selector: labels.Set{ownerLabel: owner}.String()})
	w.set.Acquire(schema.GroupVersionResource{Version: "v1", Resource: "secrets"})
	return w
}

// Start watches until ctx ends.
func (w *Watcher) Start(ctx context.Context) error { return w.set.Start(ctx) }

// Known returns the stored versions of a release. It is false while nothing is known:
// before the Secrets were listed, and where they may not be watched.
func (w *Watcher) Known(namespace, release string) (Index, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := types.NamespacedName{Namespace: namespace, Name: release}
	if !w.listed {
		w.use(key).asked = true
		return nil, false
	}
	r, ok := w.releases[key]
	if !ok {
		return nil, true
	}
	return r.index(), true
}

// Open returns the History of a release, as the function Open does. While the Watcher
// knows which versions there are, no Secret is read but those whose content matters. What
// the History writes is no news to the Watcher, and is known at once.
func (w *Watcher) Open(secrets corev1client.SecretInterface, namespace, name string) *History {
	h := Open(secrets, name)
	h.ledger = &row{watcher: w, of: types.NamespacedName{Namespace: namespace, Name: name}}
	return h
}

// Saw implements watch.Handler.
func (w *Watcher) Saw(_ schema.GroupVersionResource, obj metav1.Object) { w.note(obj, false) }

// Lost implements watch.Handler.
func (w *Watcher) Lost(_ schema.GroupVersionResource, obj metav1.Object) { w.note(obj, true) }

// note takes in the state of a Secret and wakes the release if that is news.
func (w *Watcher) note(obj metav1.Object, gone bool) {
	key, v, ok := identify(obj)
	if !ok {
		return
	}
	w.mu.Lock()
	r := w.use(key)
	news := r.saw(v, gone)
	w.tidy(key, r)
	w.mu.Unlock()
	if news {
		w.wake(key.Namespace, key.Name)
	}
}

// Listed implements watch.Handler.
func (w *Watcher) Listed(_ schema.GroupVersionResource, objs []metav1.Object, version string) {
	woken := make(map[types.NamespacedName]bool)
	present := make(map[types.NamespacedName]map[int]bool)
	w.mu.Lock()
	for _, obj := range objs {
		key, v, ok := identify(obj)
		if !ok {
			continue
		}
		if present[key] == nil {
			present[key] = make(map[int]bool)
		}
		present[key][v.Number] = true
		if w.use(key).saw(v, false) && w.once {
			woken[key] = true
		}
	}
	for key, r := range w.releases {
		if r.missing(present[key], version) && w.once || r.asked {
			woken[key] = true
		}
		r.asked = false
		w.tidy(key, r)
	}
	w.listed, w.once = true, true
	w.mu.Unlock()
	for key := range woken {
		w.wake(key.Namespace, key.Name)
	}
}

// Refused implements watch.Handler: until the Secrets can be listed again, nothing is known.
func (w *Watcher) Refused(schema.GroupVersionResource, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed = false
}

// use returns what is known of a release. The lock is held.
func (w *Watcher) use(key types.NamespacedName) *known {
	r, ok := w.releases[key]
	if !ok {
		r = &known{}
		w.releases[types.NamespacedName{Namespace: strings.Clone(key.Namespace), Name: strings.Clone(key.Name)}] = r
	}
	return r
}

// tidy forgets a release of which there is nothing to know. The lock is held.
func (w *Watcher) tidy(key types.NamespacedName, r *known) {
	if len(r.versions) == 0 && r.writes == 0 && !r.asked {
		delete(w.releases, key)
	}
}

// identify returns the release and the version that a Secret is of, and whether it is
// one of Helm's.
func identify(obj metav1.Object) (types.NamespacedName, Version, bool) {
	name, number, ok := parseKey(obj.GetName())
	return types.NamespacedName{Namespace: obj.GetNamespace(), Name: name}, Version{
		Number: number, Status: word(obj.GetLabels()[statusLabel]), ResourceVersion: obj.GetResourceVersion(),
	}, ok
}

// word returns a status that shares its memory with all others of its kind.
func word(status string) release.Status {
	for _, s := range []release.Status{
		release.StatusDeployed, release.StatusSuperseded, release.StatusFailed, release.StatusUninstalled, release.StatusUninstalling,
		release.StatusPendingInstall, release.StatusPendingUpgrade, release.StatusPendingRollback, release.StatusUnknown,
	} {
		if string(s) == status {
			return s
		}
	}
	return release.Status(status)
}

// newer reports whether resource version a is later than b.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

// latestFirst orders versions.
func latestFirst(a, b entry) int { return cmp.Compare(b.Number, a.Number) }

// index returns the versions that exist.
func (r *known) index() Index {
	var x Index
	for _, e := range slices.SortedFunc(slices.Values(r.versions), latestFirst) {
		if !e.gone {
			x = append(x, e.Version)
		}
	}
	return x
}
