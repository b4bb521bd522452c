package plane_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"weir.dev/deploy/localplane/internal/home"
	"weir.dev/deploy/localplane/internal/kubeconfig"
)

// binary returns the path of the program as `make build` leaves it. Linking the
// components into this test would take minutes.
func binary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "..", "bin", "localplane"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: build it with `make build`", err)
	}
	return path
}

func TestPlaneLives(t *testing.T) {
	p := &livePlane{T: t, dir: home.Dir(filepath.Join(t.TempDir(), "plane"))}
	t.Cleanup(func() { p.run(context.WithoutCancel(t.Context()), "down", "--delete") })

	p.upAtOnce(3)
	before := p.read(p.dir.Kubeconfig())
	p.deploy("hello")
	p.await("Deployment to be available", func() bool { return p.available("hello") })

	p.kill()
	p.await("components to end with the supervisor", func() bool { return free(p.dir) })

	p.upAtOnce(1)
	if p.read(p.dir.Kubeconfig()) != before {
		t.Error("the kubeconfig of before the kill is worth nothing")
	}
	p.await("Deployment to be there as before", func() bool { return p.available("hello") })
	p.deploy("again")
	p.await("Deployment after the restart", func() bool { return p.available("again") })
	p.removeNamespace("work")

	p.run(t.Context(), "down")
	if !free(p.dir) {
		t.Error("components are left after down")
	}
	p.run(t.Context(), "down", "--delete")
	if _, err := os.Stat(string(p.dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is left after down --delete: %v", err)
	}
}

func TestIdlePlaneStops(t *testing.T) {
	p := &livePlane{T: t, dir: home.Dir(filepath.Join(t.TempDir(), "plane"))}
	t.Cleanup(func() { p.run(context.WithoutCancel(t.Context()), "down", "--delete") })
	p.run(t.Context(), "up", "--idle", "1s")
	p.await("plane that nobody uses to stop", func() bool { return free(p.dir) })
	if state, err := p.dir.State(); err != nil || state.Phase != home.Stopped {
		t.Errorf("state is %q, %v; want that it stopped in good order", state.Phase, err)
	}
}

// livePlane is a plane of the real components.
type livePlane struct {
	*testing.T
	dir home.Dir
}

// run runs a verb and returns its output.
func (p *livePlane) run(ctx context.Context, verb string, flags ...string) string {
	p.Helper()
	cmd := exec.CommandContext(ctx, binary(p.T), append([]string{verb, "--dir", string(p.dir)}, flags...)...)
	var progress bytes.Buffer
	cmd.Stderr = &progress
	out, err := cmd.Output()
	if err != nil {
		p.Errorf("%s: %v\n%s", verb, err, progress.String())
	}
	return string(out)
}

// upAtOnce runs so many ups at the same time. They end with the same plane.
func (p *livePlane) upAtOnce(n int) {
	p.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if out := p.run(p.Context(), "up"); out != p.dir.Kubeconfig()+"\n" {
				p.Errorf("up printed %q, want the path of the kubeconfig", out)
			}
		})
	}
	all.Wait()
	if p.Failed() {
		p.FailNow()
	}
}

// kill kills the supervisor.
func (p *livePlane) kill() {
	p.Helper()
	pid, err := home.Owner(p.dir.Supervisor())
	if err != nil || pid == 0 {
		p.Fatalf("supervisor is %d, %v", pid, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		p.Fatal(err)
	}
}

func (p *livePlane) client() kubernetes.Interface {
	p.Helper()
	config, err := kubeconfig.Read(p.dir.Kubeconfig())
	if err != nil {
		p.Fatal(err)
	}
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		p.Fatal(err)
	}
	return c
}

func (p *livePlane) deploy(name string) {
	p.Helper()
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "any"}}},
			},
		},
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "work"}}
	if _, err := p.client().CoreV1().Namespaces().Create(p.Context(), ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		p.Fatal(err)
	}
	if _, err := p.client().AppsV1().Deployments("work").Create(p.Context(), d, metav1.CreateOptions{}); err != nil {
		p.Fatal(err)
	}
}

func (p *livePlane) available(name string) bool {
	d, err := p.client().AppsV1().Deployments("work").Get(p.Context(), name, metav1.GetOptions{})
	return err == nil && d.Status.AvailableReplicas == 1
}

func (p *livePlane) removeNamespace(name string) {
	p.Helper()
	namespaces := p.client().CoreV1().Namespaces()
	if err := namespaces.Delete(p.Context(), name, metav1.DeleteOptions{}); err != nil {
		p.Fatal(err)
	}
	p.await("namespace to go with all that is in it", func() bool {
		_, err := namespaces.Get(p.Context(), name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func (p *livePlane) read(path string) string {
	p.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		p.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func (p *livePlane) await(what string, ok func() bool) {
	p.Helper()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-deadline:
			p.Fatalf("waited in vain for the %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// free tells whether no component is left.
func free(dir home.Dir) bool {
	l, ok, err := home.Try(dir.Components(), home.Shared)
	if ok {
		l.Release()
	}
	return err == nil && ok
}
