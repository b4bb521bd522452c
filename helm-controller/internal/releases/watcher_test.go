package releases

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"weir.dev/pkg/watch"
)

// scene is a Watcher of which the test makes up what it sees.
type scene struct {
	*Watcher
	t     *testing.T
	woken map[string]int
	own   ledger // of the release shop/demo
}

func newScene(t *testing.T) *scene {
	s := &scene{t: t, woken: make(map[string]int)}
	open := func(schema.GroupVersionResource) watch.Source {
		t.Error("nothing is watched unless Start runs")
		return nil
	}
	s.Watcher = NewWatcher(open, func(namespace, release string) { s.woken[namespace+"/"+release]++ })
	s.own = &row{watcher: s.Watcher, of: types.NamespacedName{Namespace: "shop", Name: "demo"}}
	return s
}

// meta is the metadata of a Secret of Helm.
func meta(version int, status release.Status, rv int) metav1.Object {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: keyOf("demo", version), ResourceVersion: strconv.Itoa(rv),
		Labels: map[string]string{"owner": "helm", "name": "demo", "status": string(status), "version": strconv.Itoa(version)},
	}}
}

func (s *scene) saw(version int, status release.Status, rv int) {
	s.Saw(secretsResource(), meta(version, status, rv))
}

func (s *scene) lost(version, rv int) {
	s.Lost(secretsResource(), meta(version, release.StatusDeployed, rv))
}

func (s *scene) listed(rv int, objs ...metav1.Object) {
	s.Listed(secretsResource(), objs, strconv.Itoa(rv))
}

// write is a write of ours during which something is seen.
func (s *scene) write(version int, status release.Status, rv int, meanwhile func()) {
	end := s.own.begin()
	meanwhile()
	s.own.wrote(Version{Number: version, Status: status, ResourceVersion: strconv.Itoa(rv)})
	end()
}

// remove is a deletion of ours during which something is seen.
func (s *scene) remove(version int, meanwhile func()) {
	end := s.own.begin()
	meanwhile()
	s.own.removed(version)
	end()
}

// wants compares what is known of the release, as "1 deployed 10", and how often it was
// woken since the last call.
func (s *scene) wants(what string, wakes int, versions ...string) {
	s.t.Helper()
	index, ok := s.Known("shop", "demo")
	if !ok {
		s.t.Errorf("%s: nothing is known", what)
	}
	var got []string
	for _, v := range index {
		got = append(got, fmt.Sprintf("%d %s %s", v.Number, v.Status, v.ResourceVersion))
	}
	if diff := cmp.Diff(versions, got, cmpopts.EquateEmpty()); diff != "" {
		s.t.Errorf("%s: versions (-want +got):\n%s", what, diff)
	}
	if s.woken["shop/demo"] != wakes {
		s.t.Errorf("%s: woken %d times; want %d", what, s.woken["shop/demo"], wakes)
	}
	s.woken = make(map[string]int)
}

func nothing() {}

func TestOwnWritesAreNoNews(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.listed(5, meta(1, release.StatusDeployed, 5))
	s.wants("at first", 0, "1 deployed 5")

	s.write(2, release.StatusPendingUpgrade, 10, nothing)
	s.wants("before the watch tells", 0, "2 pending-upgrade 10", "1 deployed 5")
	s.saw(2, release.StatusPendingUpgrade, 10)
	s.wants("when the watch tells", 0, "2 pending-upgrade 10", "1 deployed 5")
	s.write(2, release.StatusDeployed, 12, func() { s.saw(2, release.StatusDeployed, 12) })
	s.wants("when the watch is faster", 0, "2 deployed 12", "1 deployed 5")
	s.write(1, release.StatusSuperseded, 13, nothing)
	s.write(1, release.StatusSuperseded, 14, func() { s.saw(1, release.StatusSuperseded, 13) })
	s.saw(1, release.StatusSuperseded, 14)
	s.wants("when it is slower than the next write", 0, "2 deployed 12", "1 superseded 14")

	s.remove(1, nothing)
	s.wants("a deletion before the watch tells", 0, "2 deployed 12")
	s.saw(1, release.StatusSuperseded, 14)
	s.wants("when the watch is late", 0, "2 deployed 12")
	s.lost(1, 15)
	s.wants("when the watch tells", 0, "2 deployed 12")
	s.remove(2, func() { s.lost(2, 16) })
	s.wants("when the watch is faster", 0)

	s.write(1, release.StatusDeployed, 20, nothing)
	s.remove(1, nothing)
	s.write(1, release.StatusFailed, 22, nothing)
	s.saw(1, release.StatusDeployed, 20)
	s.lost(1, 21)
	s.saw(1, release.StatusFailed, 22)
	s.wants("when it was made anew", 0, "1 failed 22")
}

func TestWritesOfOthersAreNews(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.listed(5)
	s.saw(1, release.StatusPendingInstall, 6)
	s.wants("an install", 1, "1 pending-install 6")
	s.saw(1, release.StatusDeployed, 7)
	s.wants("its end", 1, "1 deployed 7")
	s.saw(1, release.StatusDeployed, 7)
	s.saw(1, release.StatusPendingInstall, 6)
	s.wants("old news", 0, "1 deployed 7")
	s.saw(2, release.StatusDeployed, 9)
	s.lost(1, 10)
	s.wants("an upgrade and a deletion", 2, "2 deployed 9")
	s.lost(1, 10)
	s.wants("a deletion of what nobody knows", 0, "2 deployed 9")

	s.write(3, release.StatusPendingUpgrade, 12, func() { s.saw(2, release.StatusFailed, 11) })
	s.wants("of another version while we write", 1, "3 pending-upgrade 12", "2 failed 11")
	s.write(3, release.StatusDeployed, 13, func() { s.saw(3, release.StatusFailed, 14) })
	s.wants("of the version that we write", 1, "3 failed 14", "2 failed 11")
	s.remove(3, func() { s.lost(3, 15); s.saw(3, release.StatusDeployed, 16) })
	s.wants("in the place of what we delete", 1, "3 deployed 16", "2 failed 11")
	end := s.own.begin()
	s.saw(3, release.StatusFailed, 17)
	end()
	s.wants("of a write without an answer", 1, "3 failed 17", "2 failed 11")

	s.Saw(secretsResource(), &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "demo", ResourceVersion: "30"}})
	other := meta(1, release.StatusDeployed, 31).(*metav1.PartialObjectMetadata)
	other.Namespace = "other"
	s.Saw(secretsResource(), other)
	if diff := cmp.Diff(map[string]int{"other/demo": 1}, s.woken); diff != "" {
		t.Errorf("woken by what is not of the release (-want +got):\n%s", diff)
	}
}

func TestListsTellWhatWasMissed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.listed(9, meta(1, release.StatusSuperseded, 5), meta(2, release.StatusDeployed, 6))
	s.wants("at first", 0, "2 deployed 6", "1 superseded 5")
	s.listed(10, meta(1, release.StatusSuperseded, 5), meta(2, release.StatusDeployed, 6))
	s.wants("nothing new", 0, "2 deployed 6", "1 superseded 5")
	s.listed(20, meta(2, release.StatusDeployed, 6))
	s.wants("a deletion", 1, "2 deployed 6")
	s.listed(30, meta(2, release.StatusFailed, 25), meta(3, release.StatusDeployed, 26))
	s.wants("an upgrade", 1, "3 deployed 26", "2 failed 25")
	s.write(4, release.StatusDeployed, 40, nothing)
	s.listed(35, meta(2, release.StatusFailed, 25), meta(3, release.StatusDeployed, 26))
	s.wants("a list from before our write", 0, "4 deployed 40", "3 deployed 26", "2 failed 25")
	s.remove(2, nothing)
	s.listed(50, meta(3, release.StatusDeployed, 26), meta(4, release.StatusDeployed, 40))
	s.wants("a list from after our deletion", 0, "4 deployed 40", "3 deployed 26")
	s.listed(60)
	s.wants("nothing", 1)
	if len(s.releases) != 0 {
		t.Errorf("%d releases are remembered that do not exist", len(s.releases))
	}
}

func TestKnownOnlyWhileWatched(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	unknown := func(when string) {
		t.Helper()
		if index, ok := s.Known("shop", "demo"); ok || len(index) > 0 {
			t.Errorf("%s, %v is known", when, index)
		}
	}
	s.write(1, release.StatusDeployed, 4, nothing)
	unknown("before the list")
	s.listed(5, meta(1, release.StatusDeployed, 4))
	s.wants("one who was told that nothing is known", 1, "1 deployed 4")
	s.listed(6, meta(1, release.StatusDeployed, 4))
	s.wants("nobody asked in vain", 0, "1 deployed 4")
	s.Refused(secretsResource(), errors.New("no"))
	unknown("when it may not be watched")
	s.write(2, release.StatusDeployed, 8, nothing)
	s.remove(1, nothing)
	s.listed(9, meta(2, release.StatusDeployed, 8))
	s.wants("when it may again", 1, "2 deployed 8")
	if _, ok := s.Known("shop", "none"); !ok {
		t.Error("it is not known that a release is not stored")
	}
}

// TestMemory is not parallel: it measures the heap.
func TestMemory(t *testing.T) {
	const count, limit = 20_000, 400
	s := newScene(t)
	objs := make([]metav1.Object, 0, count)
	for i := range count {
		obj := meta(1+i%5, release.StatusDeployed, 1_000_000+i).(*metav1.PartialObjectMetadata)
		obj.Name = keyOf(fmt.Sprintf("release-of-some-length-%d", i/5), 1+i%5)
		objs = append(objs, obj)
	}
	before := heap()
	s.listed(2_000_000, objs...)
	if per := (heap() - before) / count; per > limit {
		t.Errorf("%d bytes are kept of a Secret; want no more than %d", per, limit)
	}
	if _, ok := s.Known("shop", "release-of-some-length-7"); !ok {
		t.Error("nothing is known")
	}
	runtime.KeepAlive(objs)
}

// heap is how much memory is in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
