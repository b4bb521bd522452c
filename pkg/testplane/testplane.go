// Package testplane gives a test a real API server.
//
// All tests of a machine share one local plane (see deploy/localplane), started
// by the first that needs it and left running for the next; it stops by itself
// when nobody has used it for some minutes. Each test has a namespace of its own,
// which goes with it, and sees the requests of its own controllers only. Cluster
// scoped objects are shared: name them after the namespace.
//
// Only tests import this package.
package testplane

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	imagev1 "weir.dev/api/image/v1"
	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
)

const (
	// startTimeout covers the start of the plane, not its build.
	startTimeout = 2 * time.Minute
	// idle is how long an unused plane stays up.
	idle = 10 * time.Minute
)

// Plane is a test's share of an API server.
type Plane struct {
	// Namespace is the test's own.
	Namespace string
	// Client reads and writes as cluster admin, without a cache.
	Client client.Client
	// Traffic sees what the controllers under test ask of the API server.
	Traffic *Traffic

	t      testing.TB
	config *rest.Config
}

// Start returns a plane with a fresh namespace, and fails the test if there is
// no API server to be had.
func Start(t testing.TB) *Plane {
	t.Helper()
	cfg, err := shared()
	if err != nil {
		t.Fatalf("starting the test plane: %v", err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatalf("connecting to the test plane: %v", err)
	}
	p := &Plane{Namespace: namespaceName(t.Name()), Client: c, Traffic: newTraffic(t), t: t, config: cfg}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatalf("creating namespace %q: %v", p.Namespace, err)
	}
	t.Cleanup(func() { p.discard(ns) })
	return p
}

// Kubeconfig returns the path of a file with which another process connects to
// the API server as cluster admin.
func (p *Plane) Kubeconfig() string {
	path, err := up()
	if err != nil {
		p.t.Fatalf("starting the test plane: %v", err)
	}
	return path
}

// Config returns a connection whose requests Traffic sees: that of the
// controllers under test.
func (p *Plane) Config() *rest.Config {
	cfg := rest.CopyConfig(p.config)
	cfg.Wrap(p.Traffic.wrap)
	return cfg
}

// shared connects to the plane of this machine and installs the API once a
// process.
var shared = sync.OnceValues(func() (*rest.Config, error) {
	kubeconfig, err := up()
	if err != nil {
		return nil, err
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	cfg.QPS = -1
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	return cfg, installCRDs(ctx, cfg)
})

// up makes sure that the shared plane runs as long as this process, and returns
// the path of its kubeconfig.
var up = sync.OnceValues(func() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(root, "bin", "localplane")
	if _, err := os.Stat(binary); err != nil {
		return "", fmt.Errorf("%w: build it with `make build`", err)
	}
	dir := filepath.Join(root, ".cache", "testplane")
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "up", "--dir", dir, "--idle", idle.String())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s up: %w: %s", binary, err, stderr.String())
	}
	return strings.TrimSpace(string(out)), holdOpen(filepath.Join(dir, "users"))
})

// holdOpen takes a share in the lock by which the plane knows that it is in use.
// The descriptor is never closed: the end of the process does that.
func holdOpen(path string) error {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CREAT|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	return syscall.Flock(fd, syscall.LOCK_SH)
}

// Root returns the root folder of the project.
func Root(t testing.TB) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// moduleRoot is the nearest folder above the test that has a go.work.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.work")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no go.work above %s", dir)
		}
	}
}

// installCRDs applies deploy/crds and waits until all are served.
func installCRDs(ctx context.Context, cfg *rest.Config) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme()})
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(root, "deploy", "crds", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no CRDs in deploy/crds: run `make generate` (%w)", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(data, crd); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := applyCRD(ctx, c, crd); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// applyCRD creates or replaces crd and waits until it is established.
func applyCRD(ctx context.Context, c client.Client, crd *apiextensionsv1.CustomResourceDefinition) error {
	crd.SetManagedFields(nil)
	data, err := runtime.DefaultUnstructuredConverter.ToUnstructured(crd)
	if err != nil {
		return err
	}
	delete(data, "status")
	if err := c.Patch(ctx, crd, applyPatch(data), client.ForceOwnership, client.FieldOwner("testplane")); err != nil {
		return err
	}
	return eventually(ctx, func() (bool, error) {
		if err := c.Get(ctx, client.ObjectKeyFromObject(crd), crd); err != nil {
			return false, err
		}
		for _, cond := range crd.Status.Conditions {
			if cond.Type == apiextensionsv1.Established && cond.Status == apiextensionsv1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
}

// discard removes what the test made. The controllers are gone by now, so nobody
// else would take the finalizers off; and a namespace that cannot end keeps the control
// plane busy with trying, which slows all tests that come later.
func (p *Plane) discard(ns *corev1.Namespace) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	unfinish := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	if err := p.Client.Delete(ctx, ns); err != nil {
		p.t.Logf("deleting namespace %q: %v", p.Namespace, err)
	}
	for _, list := range ours(p.Client.Scheme()) {
		if err := p.Client.List(ctx, list, client.InNamespace(p.Namespace)); err != nil {
			p.t.Logf("listing what is left in %q: %v", p.Namespace, err)
			continue
		}
		for _, obj := range objects(list) {
			if err := p.Client.Patch(ctx, obj, unfinish); client.IgnoreNotFound(err) != nil {
				p.t.Logf("removing finalizers of %s: %v", obj.GetName(), err)
			}
		}
	}
}

// ours returns a list of each kind of weir's API.
func ours(s *runtime.Scheme) []client.ObjectList {
	var lists []client.ObjectList
	for gvk := range s.AllKnownTypes() {
		if !strings.HasSuffix(gvk.Group, ".toolkit.fluxcd.io") || !strings.HasSuffix(gvk.Kind, "List") {
			continue
		}
		if obj, err := s.New(gvk); err == nil { // else it is not known, which it is
			if list, ok := obj.(client.ObjectList); ok {
				lists = append(lists, list)
			}
		}
	}
	return lists
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, sourcev1.AddToScheme, kustomizev1.AddToScheme, helmv2.AddToScheme, imagev1.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err) // two kinds of one name: a mistake in the types themselves
		}
	}
	return s
}

var notNameable = regexp.MustCompile(`[^a-z0-9]+`)

// namespaceName makes a valid, unique name that tells the test.
func namespaceName(test string) string {
	name := strings.Trim(notNameable.ReplaceAllString(strings.ToLower(test), "-"), "-")
	if len(name) > 45 {
		name = name[:45]
	}
	return strings.Trim(name, "-") + "-" + rand.String(6)
}
