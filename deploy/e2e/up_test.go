package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"weir.dev/deploy/internal/stack"
)

// running reports whether a program of a name has a folder among its arguments.
func running(dir, program string) bool {
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		panic(err) // of the pattern
	}
	for _, command := range commands {
		line, err := os.ReadFile(command)
		if name, args, _ := strings.Cut(string(line), "\x00"); err == nil && filepath.Base(name) == program && strings.Contains(args, dir) {
			return true
		}
	}
	return false
}

// TestUpAndDown is what somebody does who tries weir on a machine.
func TestUpAndDown(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	dir := filepath.Join(home, "up")
	kubeconfig := filepath.Join(dir, "plane", "kubeconfig")
	weir := func(args ...string) *call {
		t.Helper()
		return startWeir(t, home, kubeconfig, args...)
	}
	down := func(more ...string) string {
		return weir(append([]string{"down", "--dir=" + dir}, more...)...).succeeds()
	}
	t.Cleanup(func() { down("--delete") })

	up := weir("up", "--detach", "--dir="+dir, "--components=source-controller,kustomize-controller").succeeds()
	for _, want := range []string{"export KUBECONFIG='" + kubeconfig + "'", "source-controller works", "kustomize-controller works", "weir down --dir=" + dir} {
		if !strings.Contains(up, want) {
			t.Errorf("weir up does not say %q:\n%s", want, up)
		}
	}
	if text := weir("check").succeeds(); !strings.Contains(text, "all checks passed") {
		t.Errorf("weir check says\n%s", text)
	}
	c := connect(t, kubeconfig)
	kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kept"}}
	if err := c.Create(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	again := weir("up", "--dir="+dir).succeeds() // it does not stay, as it has nothing to run
	if !strings.Contains(again, "it runs already") || !strings.Contains(again, "export KUBECONFIG='"+kubeconfig+"'") {
		t.Errorf("the second weir up says\n%s", again)
	}

	if text := down(); !strings.Contains(text, "it has ended") {
		t.Errorf("weir down says\n%s", text)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(kept), kept); err == nil {
		t.Error("the cluster answers after weir down")
	}
	if text := down(); !strings.Contains(text, "nothing ran") {
		t.Errorf("the second weir down says\n%s", text)
	}

	foreground := weir("up", "--dir="+dir, "--components=source-controller,kustomize-controller")
	foreground.says("Ctrl-C ends it")
	if err := connect(t, kubeconfig).Get(t.Context(), client.ObjectKeyFromObject(kept), kept); err != nil {
		t.Errorf("what the cluster held is lost: %v", err)
	}
	if err := foreground.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	foreground.succeeds()

	killed := weir("up", "--dir="+dir, "--components=source-controller")
	killed.says("Ctrl-C ends it")
	killed.kill()
	ended := func(context.Context) (bool, error) { return !running(dir, "source-controller"), nil }
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, ended); err != nil {
		t.Errorf("a controller goes on without weir up: %v", err)
	}
	if text := down(); !strings.Contains(text, "it has ended") {
		t.Errorf("weir down says of a plane whose weir up was killed\n%s", text)
	}

	if down("--delete"); exists(dir) {
		t.Errorf("%s is still there", dir)
	}
	if err := os.WriteFile(filepath.Join(home, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := weir("down", "--delete", "--dir="+home)
	if foreign.says("it holds something else"); !exists(home) {
		t.Error("a folder of somebody else is removed")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// connect returns a client for a cluster of the test's own.
func connect(t *testing.T, kubeconfig string) client.Client {
	t.Helper()
	s, err := stack.New(t.TempDir(), "bin")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Connect(kubeconfig); err != nil {
		t.Fatal(err)
	}
	return s.Client
}
