package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kustomizev1 "weir.dev/api/kustomize/v1"
	sourcev1 "weir.dev/api/source/v1"
)

// TestPushGoesLive is what a user does in a day, with the git command.
func TestPushGoesLive(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatalf("%v: the user of this story pushes with it", err)
	}
	w := newWorld(t)
	if err := w.stack.StartGit(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, url, err := w.stack.Repository("fleet")
	if err != nil {
		t.Fatal(err)
	}
	w.startSource()
	w.startKustomize()
	clone := newClone(t, url)
	settings := object{kind: "ConfigMap", space: w.Namespace, name: "settings"}
	clone.push("Add the app", func(dir string) {
		write(t, filepath.Join(dir, "app", "account.yaml"), object{kind: "ServiceAccount", space: w.Namespace, name: "account"}.yaml())
		settings.value = "blue"
		write(t, filepath.Join(dir, "app", "settings.yaml"), settings.yaml())
	})
	ks := w.follow(url, "./app")
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "settings"}}
	waitValue := func(value string) {
		t.Helper()
		w.Wait("the value "+value, cm, func() bool { return cm.Data["key"] == value })
	}
	waitValue("blue")
	w.WaitReady(ks)

	clone.push("Make it green", func(dir string) {
		settings.value = "green"
		write(t, filepath.Join(dir, "app", "settings.yaml"), settings.yaml())
	})
	waitValue("green")

	w.Patch(cm, "night-shift", "data: {key: red}")
	if cm.Data["key"] != "red" {
		t.Fatalf("the change by hand was not accepted: %v", cm.Data)
	}
	waitValue("green")
	w.waitEvent(ks, "night-shift", `"red"`, `"green"`, "ConfigMap/"+w.Namespace+"/settings")

	clone.push("Remove the settings", func(dir string) {
		if err := os.Remove(filepath.Join(dir, "app", "settings.yaml")); err != nil {
			t.Fatal(err)
		}
	})
	w.WaitGone(cm)
	head := clone.git("rev-parse", "HEAD")
	w.waitApplied(ks, "main@sha1:"+head)
	w.checkApplied(ks, revision{{kind: "ServiceAccount", space: w.Namespace, name: "account"}})
	w.checkLogs(sourceController, sourcev1.GitRepositoryKind)
	w.checkLogs(kustomizeController, kustomizev1.KustomizationKind)
}

// follow makes a GitRepository and a Kustomization of a folder of it.
func (w *world) follow(url, path string) *kustomizev1.Kustomization {
	w.t.Helper()
	w.Create(&sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Name: "fleet"},
		Spec: sourcev1.GitRepositorySpec{
			URL: url, Interval: metav1.Duration{Duration: time.Second}, Reference: &sourcev1.GitRepositoryRef{Branch: "main"},
		},
	})
	ks := &kustomizev1.Kustomization{
		ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec: kustomizev1.KustomizationSpec{
			Interval:  metav1.Duration{Duration: time.Hour},
			Path:      path,
			Prune:     true,
			SourceRef: kustomizev1.SourceReference{Kind: sourcev1.GitRepositoryKind, Name: "fleet"},
		},
	}
	w.Create(ks)
	return ks
}

// waitEvent waits for an event about ks whose message has all the parts.
func (w *world) waitEvent(ks *kustomizev1.Kustomization, parts ...string) {
	w.t.Helper()
	w.Eventually(fmt.Sprintf("an event with %q", parts), func() bool {
		return slices.ContainsFunc(w.events(ks), func(e corev1.Event) bool {
			return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(e.Message, part) })
		})
	})
}

// events are those about ks.
func (w *world) events(ks *kustomizev1.Kustomization) []corev1.Event {
	w.t.Helper()
	var list corev1.EventList
	if err := w.Client.List(w.t.Context(), &list, client.InNamespace(w.Namespace)); err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return e.InvolvedObject.UID != ks.UID })
}

// clone is a work tree of the git command.
type clone struct {
	t   *testing.T
	dir string
}

func newClone(t *testing.T, url string) *clone {
	t.Helper()
	c := &clone{t: t, dir: t.TempDir()}
	c.git("clone", "--quiet", url, ".")
	c.git("checkout", "--quiet", "-B", "main")
	return c
}

// push commits what change does to the work tree, and pushes it.
func (c *clone) push(message string, change func(dir string)) {
	c.t.Helper()
	change(c.dir)
	c.git("add", "--all")
	c.git("commit", "--quiet", "--message", message)
	c.git("push", "--quiet", "origin", "main")
}

// git runs a git command, without the configuration of this machine, and returns what
// it prints.
func (c *clone) git(args ...string) string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), "git", args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=user", "GIT_AUTHOR_EMAIL=user@example.com", "GIT_COMMITTER_NAME=user", "GIT_COMMITTER_EMAIL=user@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
