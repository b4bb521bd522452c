package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/deploy/install"
	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/testplane"
)

const (
	// commandTimeout bounds a call of weir, on a busy machine.
	commandTimeout = 6 * time.Minute
	fleetPath      = "clusters/prod"
	images         = "localhost/weir"
)

// speech is what a command says, while it does.
type speech struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

// Write implements io.Writer.
func (s *speech) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.text.Write(p)
}

func (s *speech) now() (text string, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String(), s.changed
}

// call is a run of weir.
type call struct {
	t     *testing.T
	cmd   *exec.Cmd
	said  *speech
	ended chan struct{}
	err   error // how it ended
}

// startWeir starts the command of users on a cluster.
func startWeir(t *testing.T, home, kubeconfig string, args ...string) *call {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), commandTimeout)
	c := &call{t: t, said: &speech{changed: make(chan struct{})}, ended: make(chan struct{})}
	c.cmd = exec.CommandContext(ctx, filepath.Join(testplane.Root(t), "bin", "weir"), args...)
	c.cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+home, "XDG_CACHE_HOME=")
	c.cmd.Stdout, c.cmd.Stderr = c.said, c.said
	if err := c.cmd.Start(); err != nil {
		cancel()
		t.Fatalf("%v: build it with `make build`", err)
	}
	go func() {
		defer cancel()
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	return c
}

// says waits until the command has said something.
func (c *call) says(word string) {
	c.t.Helper()
	for {
		text, changed := c.said.now()
		if strings.Contains(text, word) {
			return
		}
		select {
		case <-changed:
		case <-c.ended:
			if text, _ := c.said.now(); !strings.Contains(text, word) {
				c.t.Fatalf("weir ends (%v) and does not say %q:\n%s", c.err, word, text)
			}
			return
		}
	}
}

// kill ends the command without warning.
func (c *call) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	<-c.ended
}

// succeeds waits until the command has ended well, and returns what it said.
func (c *call) succeeds() string {
	c.t.Helper()
	<-c.ended
	text, _ := c.said.now()
	if c.err != nil {
		c.t.Fatalf("weir %s: %v\n%s", c.cmd.Args[1], c.err, text)
	}
	return text
}

// fleet is a cluster of the test's own, in which nothing is installed, and a repository, in
// which there is nothing.
type fleet struct {
	t       *testing.T
	stack   *stack.Stack
	kubelet *stack.Kubelet // nil until the programs of Deployments are to run
	repo    *gitserver.Repo
	url     string
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t}
	var err error
	if f.stack, err = stack.New(t.TempDir(), filepath.Join(testplane.Root(t), "bin")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.stack.Stop(); err != nil {
			t.Errorf("stopping the processes: %v", err)
		}
	})
	t.Cleanup(f.tell)
	for _, start := range []func(context.Context) error{f.stack.StartPlane, f.stack.StartGit} {
		if err := start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if f.repo, f.url, err = f.stack.Repository("fleet"); err != nil {
		t.Fatal(err)
	}
	return f
}

// tell says what a failed test leaves behind.
func (f *fleet) tell() {
	if !f.t.Failed() {
		return
	}
	for _, name := range []string{"kubelet", sourceController, kustomizeController, helmController} {
		if end := tail(filepath.Join(f.stack.Dir(), name+".log")); end != "" {
			f.t.Logf("the end of the log of %s:\n%s", name, end)
		}
	}
}

// runPrograms has the programs of Deployments run from now on.
func (f *fleet) runPrograms() {
	f.t.Helper()
	var err error
	if f.kubelet, err = f.stack.StartKubelet(f.t.Context(), install.Namespace); err != nil {
		f.t.Fatal(err)
	}
}

// bootstrap starts weir bootstrap.
func (f *fleet) bootstrap(more ...string) *call {
	f.t.Helper()
	return startWeir(f.t, f.stack.Dir(), f.stack.Kubeconfig, append([]string{
		"bootstrap", "git", "--url=" + f.url, "--allow-insecure-http", "--token-auth", "--password=none", "--silent", "--path=" + fleetPath,
	}, more...)...)
}

// head returns the last commit.
func (f *fleet) head() string {
	f.t.Helper()
	head, err := f.repo.Head("main")
	if err != nil {
		f.t.Fatal(err)
	}
	return head
}

// commit changes a file of the installation in Git, and has the cluster look at it.
func (f *fleet) commit(message, file, content string) string {
	f.t.Helper()
	commit, err := f.repo.Commit("main", message, gitserver.File(fleetPath+"/"+install.Namespace+"/"+file, content))
	if err != nil {
		f.t.Fatal(err)
	}
	source := &sourcev1.GitRepository{ObjectMeta: own(install.Namespace)}
	patch := `{"metadata":{"annotations":{"` + meta.ReconcileRequestAnnotation + `":"` + commit + `"}}}`
	if err := f.stack.Client.Patch(f.t.Context(), source, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		f.t.Fatal(err)
	}
	return commit
}

// own is the name of an object in the namespace of the controllers.
func own(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: install.Namespace, Name: name}
}

// runsFrom waits until the cluster runs from a commit, and returns the Kustomization.
func (f *fleet) runsFrom(commit string) *kustomizev1.Kustomization {
	f.t.Helper()
	ks := &kustomizev1.Kustomization{ObjectMeta: own(install.Namespace)}
	f.until(ks, "it is applied at "+commit, func() bool {
		return ks.Status.LastAppliedRevision == "main@sha1:"+commit && conditions.IsTrue(ks, meta.ReadyCondition)
	})
	return ks
}

func (f *fleet) until(obj client.Object, what string, ok func() bool) {
	f.t.Helper()
	if err := f.stack.Until(f.t.Context(), obj, ok); err != nil {
		f.t.Fatalf("until %s: %v", what, err)
	}
}

// deployment waits until a Deployment is as wanted, and returns it.
func (f *fleet) deployment(name, what string, ok func(*appsv1.Deployment) bool) *appsv1.Deployment {
	f.t.Helper()
	d := &appsv1.Deployment{ObjectMeta: own(name)}
	f.until(d, what, func() bool { return len(d.Spec.Template.Spec.Containers) > 0 && ok(d) })
	return d
}

// program waits until a Deployment runs in another process than the one that is given.
func (f *fleet) program(name string, other int) (pid int) {
	f.t.Helper()
	err := stack.Eventually(f.t.Context(), func(context.Context) (bool, error) {
		p := f.kubelet.Program(install.Namespace, name)
		if p == nil || p.PID() == other {
			return false, nil
		}
		pid = p.PID()
		return true, nil
	})
	if err != nil {
		f.t.Fatalf("a process of %s other than %d: %v", name, other, err)
	}
	return pid
}

// hasArgument reports whether a process was started with an argument.
func (f *fleet) hasArgument(pid int, argument string) bool {
	f.t.Helper()
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		f.t.Fatal(err)
	}
	return slices.Contains(strings.Split(string(data), "\x00"), argument)
}
