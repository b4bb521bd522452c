package releases

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

// watched returns a Watcher that knows what a vault holds.
func watched(t *testing.T, v *vault) *Watcher {
	t.Helper()
	list, err := v.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	objs := make([]metav1.Object, 0, len(list.Items))
	for i := range list.Items {
		objs = append(objs, &list.Items[i])
	}
	w := newScene(t).Watcher
	w.Listed(secretsResource(), objs, "1")
	v.asked()
	return w
}

// TestRequestsWhenWatched: what the watch has told is not asked for.
func TestRequestsWhenWatched(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		stored []release.Status
		want   map[string]int
	}{
		"an install":            {why: "there is nothing to read", want: map[string]int{"create": 1, "update": 1}},
		"an upgrade":            {why: "only the deployed version matters", stored: []release.Status{release.StatusSuperseded, release.StatusSuperseded, release.StatusDeployed}, want: map[string]int{"get": 1, "create": 1, "update": 2, "delete": 1}},
		"an upgrade of failure": {why: "so does the newest", stored: []release.Status{release.StatusSuperseded, release.StatusDeployed, release.StatusFailed}, want: map[string]int{"get": 2, "create": 1, "update": 2, "delete": 1}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault()
			for i, status := range tc.stored {
				if err := v.helm.Create(keyOf("demo", i+1), demo(i+1, status)); err != nil {
					t.Fatal(err)
				}
			}
			w := watched(t, v)
			h := w.Open(v, namespace, "demo")
			s := storage.Init(h.Driver(t.Context(), DriverOptions{}))
			s.MaxHistory = 3
			version := len(tc.stored) + 1
			if last, err := s.Last("demo"); err == nil && last.Version != version-1 {
				t.Errorf("the newest version is %d: %v", last.Version, err)
			}
			next := demo(version, release.StatusPendingUpgrade)
			if err := s.Create(next); err != nil {
				t.Fatal(err)
			}
			if before, err := s.Deployed("demo"); err == nil {
				before.Info.Status = release.StatusSuperseded
				if err := s.Update(before); err != nil {
					t.Fatal(err)
				}
			}
			next.Info.Status = release.StatusDeployed
			if err := s.Update(next); err != nil {
				t.Fatal(err)
			}
			if r, err := h.Last(t.Context()); err != nil || r.Version != version || r.Info.Status != release.StatusDeployed {
				t.Errorf("after it, the newest is %v: %v", r, err)
			}
			if diff := cmp.Diff(tc.want, v.asked()); diff != "" {
				t.Errorf("requests (-want +got):\n%s(%s)", diff, tc.why)
			}
			index, ok := w.Known(namespace, "demo")
			if want := v.versions(t, "demo"); !ok || len(index) != len(want) || index[0].Number != version || index[0].Status != release.StatusDeployed {
				t.Errorf("%v is known; want versions %v", index, want)
			}
		})
	}
}

// TestDoubtWhenWatched: who may not know what the watch has told asks as itself.
func TestDoubtWhenWatched(t *testing.T) {
	t.Parallel()
	v := newVault(stored(t, demo(1, release.StatusSuperseded)), stored(t, demo(2, release.StatusDeployed)))
	v.PrependReactor("list", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", errors.New("no"))
	})
	w := newScene(t).Watcher
	w.Listed(secretsResource(), []metav1.Object{stored(t, demo(2, release.StatusDeployed))}, "1")
	h := w.Open(v, namespace, "demo")
	h.Doubt()
	for what, ask := range map[string]func() error{
		"Last": func() error { _, err := h.Last(t.Context()); return err },
		"Get":  func() error { _, err := h.Get(t.Context(), 7); return err },
		"the SDK": func() error {
			_, err := h.Driver(t.Context(), DriverOptions{}).Query(map[string]string{"owner": "helm"})
			return err
		},
	} {
		if err := ask(); !apierrors.IsForbidden(err) || strings.Contains(err.Error(), "v2") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestWatchLagsBehind: what is not as the watch told is looked up.
func TestWatchLagsBehind(t *testing.T) {
	t.Parallel()
	v := newVault(stored(t, demo(1, release.StatusSuperseded)), stored(t, demo(2, release.StatusDeployed)))
	w := watched(t, v)
	for version, gone := range map[int]bool{2: true, 3: false} {
		var err error
		if gone {
			err = v.Tracker().Delete(secretsResource(), namespace, keyOf("demo", version))
		} else {
			err = v.Tracker().Add(stored(t, demo(version, release.StatusDeployed)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h := w.Open(v, namespace, "demo")
	if _, err := h.Last(t.Context()); !errors.Is(err, ErrChanged) {
		t.Errorf("a version that is gone: %v", err)
	}
	if r, err := h.Last(t.Context()); err != nil || r.Version != 3 {
		t.Errorf("once it was looked up: %v", err)
	}

	h = w.Open(v, namespace, "demo")
	d := h.Driver(t.Context(), DriverOptions{})
	if err := d.Create(keyOf("demo", 3), demo(3, release.StatusPendingUpgrade)); err == nil {
		t.Error("a version that somebody else has made can be made again")
	}
	if r, err := h.Last(t.Context()); err != nil || r.Version != 3 || r.Info.Status != release.StatusDeployed {
		t.Errorf("once it was looked up: %v", err)
	}
}
