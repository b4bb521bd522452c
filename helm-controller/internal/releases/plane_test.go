package releases_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"weir.dev/helm-controller/internal/releases"
	"weir.dev/pkg/testplane"
	"weir.dev/pkg/watch"
)

// cluster is a Watcher of the releases that an API server stores.
type cluster struct {
	*testplane.Plane
	*releases.Watcher
	client kubernetes.Interface

	mu    sync.Mutex
	wakes int // of the release demo in the namespace of the test
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{Plane: testplane.Start(t)}
	cfg := c.Config()
	meta, err := metadata.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if c.client, err = kubernetes.NewForConfig(cfg); err != nil {
		t.Fatal(err)
	}
	c.Watcher = releases.NewWatcher(watch.Metadata(meta), func(namespace, release string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if namespace == c.Namespace && release == "demo" {
			c.wakes++
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.Start(ctx); err != nil {
			t.Errorf("the Watcher ended: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}

// woken returns how often the release was woken since the last call.
func (c *cluster) woken() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.wakes
	c.wakes = 0
	return n
}

// waitWoken waits until the release is woken, and returns how often it was.
func (c *cluster) waitWoken() (wakes int) {
	c.Eventually("the release to be woken", func() bool { wakes += c.woken(); return wakes > 0 })
	return wakes
}

// open returns the History of the release as a run sees it.
func (c *cluster) open() *releases.History {
	return c.Open(c.client.CoreV1().Secrets(c.Namespace), c.Namespace, "demo")
}

func demo(version int, status release.Status) *release.Release {
	return &release.Release{
		Name: "demo", Namespace: "shop", Version: version, Info: &release.Info{Status: status},
		Chart: &chart.Chart{Metadata: &chart.Metadata{Name: "app", Version: "1.0.0"}},
	}
}

func TestReleasesOfACluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	known := func() (x releases.Index) {
		c.Eventually("the releases to be known", func() (ok bool) { x, ok = c.Known(c.Namespace, "demo"); return ok })
		return x
	}
	if x := known(); len(x) != 0 {
		t.Fatalf("there are versions %v", x)
	}
	c.woken()

	// An install and an upgrade of ours.
	s := storage.Init(c.open().Driver(t.Context(), releases.DriverOptions{}))
	s.MaxHistory = 2
	for version := 1; version <= 3; version++ {
		rel := demo(version, release.StatusPendingUpgrade)
		if err := s.Create(rel); err != nil {
			t.Fatal(err)
		}
		rel.Info.Status = release.StatusDeployed
		if err := s.Update(rel); err != nil {
			t.Fatal(err)
		}
	}
	x := known()
	if len(x) != 2 || x[0].Number != 3 || x[0].Status != release.StatusDeployed || x[1].Number != 2 {
		t.Errorf("after our writes, %v is known", x)
	}

	// Helm's own driver, as on a terminal.
	helm := storage.Init(driver.NewSecrets(c.client.CoreV1().Secrets(c.Namespace)))
	last, err := helm.Last("demo")
	if err != nil || last.Version != 3 {
		t.Fatalf("Helm finds %v: %v", last, err)
	}
	last.Info.Status = release.StatusFailed
	if err := helm.Update(last); err != nil {
		t.Fatal(err)
	}
	if n := c.waitWoken(); n != 1 {
		t.Errorf("woken %d times, for one write of another and some of ours", n)
	}
	now := known()
	if newest, ok := now.Newest(); !ok || newest.Status != release.StatusFailed || newest.ResourceVersion == x[0].ResourceVersion {
		t.Errorf("after the write of another, %v is known", now)
	}
	if _, err := helm.Delete("demo", 2); err != nil {
		t.Fatal(err)
	}
	if n := c.waitWoken(); n != 1 {
		t.Errorf("woken %d times by a deletion", n)
	}
	if x := known(); len(x) != 1 {
		t.Errorf("after the deletion, %v is known", x)
	}
}

func TestConflictsWithOthers(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	secrets := c.client.CoreV1().Secrets(c.Namespace)
	helm := driver.NewSecrets(secrets)
	key := "sh.helm.release.v1.demo.v1"
	h := c.open()
	ours := h.Driver(t.Context(), releases.DriverOptions{Method: releases.ServerSide})
	if err := ours.Create(key, demo(1, release.StatusPendingInstall)); err != nil {
		t.Fatal(err)
	}
	if err := c.open().Driver(t.Context(), releases.DriverOptions{}).Create(key, demo(1, release.StatusPendingInstall)); !errors.Is(err, driver.ErrReleaseExists) {
		t.Errorf("the same version can be made twice: %v", err)
	}

	// Labels of others are kept, whenever they come.
	label := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: key}}
	c.Patch(label, "backup", `metadata: {labels: {backup: "1"}, annotations: {note: x}}`)
	if err := ours.Update(key, demo(1, release.StatusDeployed)); err != nil {
		t.Fatal(err)
	}
	c.Get(label)
	if label.Labels["backup"] != "1" || label.Annotations["note"] != "x" || label.Labels["status"] != "deployed" || label.Type != "helm.sh/release.v1" {
		t.Errorf("the Secret has labels %v and annotations %v", label.Labels, label.Annotations)
	}

	// What Helm has written is not overwritten.
	if err := helm.Update(key, demo(1, release.StatusSuperseded)); err != nil {
		t.Fatal(err)
	}
	if err := ours.Update(key, demo(1, release.StatusFailed)); !errors.Is(err, releases.ErrChanged) {
		t.Errorf("Update over Helm's: %v", err)
	}
	if r, err := h.Last(t.Context()); err != nil || r.Info.Status != release.StatusSuperseded {
		t.Errorf("after that, the newest version is %v: %v", r, err)
	}

	// Nor is what has taken the place of a version deleted.
	if _, err := helm.Delete(key); err != nil {
		t.Fatal(err)
	}
	if err := helm.Create(key, demo(1, release.StatusDeployed)); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Delete(key); !errors.Is(err, releases.ErrChanged) {
		t.Errorf("Delete of another: %v", err)
	}
	if _, err := ours.Delete(key); err != nil {
		t.Errorf("Delete, once it was looked up: %v", err)
	}
	if c.Get(label) {
		t.Error("the Secret is still there")
	}
}
