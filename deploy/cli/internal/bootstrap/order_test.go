package bootstrap_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/deploy/cli/internal/provider"
	"weir.dev/deploy/install"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/pullrequest"
)

// deployed is a Deployment of the namespace, with other Pods than that of weir.
func (w *world) deployed(name string) *appsv1.Deployment {
	app, none := map[string]string{"is": name}, int32(0)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: app},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: app},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "example.com/" + name}}},
			},
		},
	}
}

// TestRefusedByTheCluster: what the cluster does not take gets neither into Git nor costs
// what it would have replaced.
func TestRefusedByTheCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	head := w.repository().Commit("main", "one", gitserver.File("a", "1"))
	w.Create(w.deployed("source-controller")) // whose selector cannot be another
	replaced := w.deployed("image-reflector-controller")
	w.Create(replaced)
	images := func(b *bootstrap.Bootstrap) {
		b.Options.Install.Components = append(b.Options.Install.Components, "image-controller")
	}
	if _, err := w.run(images); err == nil || !strings.Contains(err.Error(), "source-controller") {
		t.Fatalf("error %v, want that of the Deployment", err)
	}
	if w.repo().Head("main") != head {
		t.Error("there is a commit, which the controllers will find")
	}
	if w.Get(replaced); replaced.DeletionTimestamp != nil || !w.Get(replaced) {
		t.Error("what works in the meantime is gone")
	}
	if _, err := w.run(func(b *bootstrap.Bootstrap) { images(b); b.DryRun = true }); err == nil {
		t.Error("a dry run does not tell")
	}
}

// TestHostIsLeftAlone: a repository that is not to be written is not changed at its host.
func TestHostIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	w.repository().Commit("main", "one", gitserver.File("clusters/prod/"+w.Namespace+"/gotk-components.yaml", "kind: Mine\n"))
	before := w.host.Counts().Changes
	_, err := w.run(func(b *bootstrap.Bootstrap) {
		b.Host.Reconcile, b.Host.Settings.Visibility = true, "public"
		b.Host.Teams = []provider.Team{{Name: "crew", Permission: "maintain"}}
	})
	var refused *bootstrap.Refusal
	if !errors.As(err, &refused) || refused.Reason != bootstrap.NotOurs {
		t.Fatalf("error %v, want NotOurs", err)
	}
	if n := w.host.Counts().Changes - before; n != 0 {
		t.Errorf("%d changes at the host", n)
	}
}

// TestPullSecretOfGit: credentials are those of the registry that is found in Git.
func TestPullSecretOfGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	w.must(nil)
	w.must(func(b *bootstrap.Bootstrap) {
		b.Options.Install.Registry = ""
		b.PullSecret = func(o install.Options) (*unstructured.Unstructured, error) {
			if o.Registry == "" {
				return nil, install.ErrNoRegistry
			}
			return &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "pull", "namespace": o.Namespace},
				"stringData": map[string]any{"of": o.Registry},
			}}, nil
		}
	})
	var pull corev1.Secret
	pull.Namespace, pull.Name = w.Namespace, "pull"
	if !w.Get(&pull) || string(pull.Data["of"]) != options().Install.Registry {
		t.Errorf("the Secret has %q", pull.Data)
	}
}

// hears does something when a line is told.
type hears struct {
	*lines
	line string
	do   func()
}

func (h *hears) Waiting(format string, args ...any) {
	h.lines.Waiting(format, args...)
	if do := h.do; do != nil && strings.HasPrefix(fmt.Sprintf(format, args...), h.line) {
		h.do = nil
		do()
	}
}

// TestSourceIsAskedAgain: a branch that moves while the cluster applies what it has fetched is
// followed at once, and not when the source looks at it by itself.
func TestSourceIsAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	w.lazy.Store(true)
	var last string
	result := w.must(func(b *bootstrap.Bootstrap) {
		b.Tell = &hears{lines: w.said, line: "waiting for Kustomization", do: func() {
			second := "main@sha1:" + w.repo().Commit("main", "two", gitserver.File("a", "2"))
			source, sync, _ := w.objects()
			w.Patch(source, "test", "metadata: {annotations: {"+meta.ReconcileRequestAnnotation+": second}}")
			w.Wait("the second commit", sync, func() bool { return sync.Status.LastAttemptedRevision == second })
			last = "main@sha1:" + w.repo().Commit("main", "three", gitserver.File("a", "3"))
		}}
	})
	if result.Revision != last {
		t.Errorf("the cluster runs from %s, want %s:\n%s", result.Revision, last, w.said)
	}
}
