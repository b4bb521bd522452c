package imageupdateautomation_test

import (
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	imagev1 "weir.dev/api/image/v1"
	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

// publishes makes a source say that it has published a revision, as source-controller does.
func (w *world) publishes(source *sourcev1.GitRepository, revision string) {
	w.t.Helper()
	patch := `{"status":{"artifact":{"revision":"` + revision + `","path":"x","url":"http://example.com/x","digest":"sha256:` +
		"0000000000000000000000000000000000000000000000000000000000000000" + `","lastUpdateTime":"2026-01-01T00:00:00Z"}}}`
	if err := w.Client.Status().Patch(w.t.Context(), source, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		w.t.Fatal(err)
	}
}

// TestWhatWakes: the next look by itself would be in an hour.
func TestWhatWakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	app := w.policy("app", "1.0.0")
	source := w.source()
	auto := w.automation("auto")
	w.WaitReady(auto)

	w.selects(app, "1.0.1")
	w.waitContent("main", "app.yaml", w.marked("app", "1.0.1"))
	w.waitPushed(auto, "main")

	// A commit of a person, which the source has found.
	head := w.commit("main", "new.yaml", w.marked("app", "1.0.0"))
	w.publishes(source, "main@sha1:"+head)
	w.waitContent("main", "new.yaml", w.marked("app", "1.0.1"))
	w.waitPushed(auto, "main")

	// A policy that comes, and one that gets another label.
	w.commit("main", "late.yaml", w.marked("late", "1.0.0"))
	late := w.policy("late", "2.0.0")
	w.waitContent("main", "late.yaml", w.marked("late", "2.0.0"))
	w.waitPushed(auto, "main")
	w.Patch(auto, "test", "spec: {policySelector: {matchLabels: {team: a}}}")
	w.WaitReady(auto)
	w.selects(late, "2.0.1")
	w.again(auto)
	if says(w.content("main", "late.yaml"), "2.0.1") {
		t.Error("a policy is written that is not selected")
	}
	w.Patch(late, "test", "metadata: {labels: {team: a}}")
	w.waitContent("main", "late.yaml", w.marked("late", "2.0.1"))
	if err := w.Client.Delete(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	w.Wait("the policy gone from the status", auto, func() bool { _, there := auto.Status.ObservedPolicies["app"]; return !there })
}

// TestSpecOfSource: another branch in the source is another one to update.
func TestSpecOfSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	w.repo.Reset("next", first)
	w.policy("app", "1.0.1")
	source := w.source()
	auto := w.automation("auto")
	w.waitPushed(auto, "main")
	w.Patch(source, "test", "spec: {ref: {branch: next}}")
	w.waitContent("next", "app.yaml", w.marked("app", "1.0.1"))
	w.waitPushed(auto, "next")
}

// TestSecretOfSource: a new password is used at once.
func TestSecretOfSource(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t, gitserver.Options{Push: true, Username: "bot", Password: "right"})
	w.start()
	w.secret("git", map[string]string{"username": "bot", "password": "wrong"})
	w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	w.policy("app", "1.0.1")
	w.source(func(r *sourcev1.GitRepository) { r.Spec.SecretRef = &meta.LocalObjectReference{Name: "git"} })
	auto := w.automation("auto")
	w.waitFails(auto, imagev1.ReasonGitOperationFailed, "authentication failed")
	w.Patch(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "git"}}, "test", "stringData: {password: right}")
	w.waitPushed(auto, "main")
}

// TestSuspended: nothing is asked while it is, also not by a request.
func TestSuspended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	app := w.policy("app", "1.0.0")
	w.source()
	auto := w.automation("auto")
	w.WaitReady(auto)
	w.Patch(auto, "test", "spec: {suspend: true}")
	w.Wait("the suspension is seen", auto, func() bool { return auto.Status.ObservedGeneration == auto.Generation })
	before := w.git.Counter.Counts().Requests()
	w.selects(app, "1.0.1")
	w.again(auto)
	w.settle()
	if got := w.git.Counter.Counts().Requests(); got != before || !conditions.IsReady(auto) {
		t.Errorf("the remote was asked %d times, and Ready is %t", got-before, conditions.IsReady(auto))
	}
	w.Patch(auto, "test", "spec: {suspend: false}")
	w.waitPushed(auto, "main")
}

// TestDeleted: it goes, and what was pushed stays.
func TestDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	w.policy("app", "1.0.1")
	w.source()
	auto := w.automation("auto")
	w.waitPushed(auto, "main")
	head := w.repo.Head("main")
	if err := w.Client.Delete(t.Context(), auto); err != nil {
		t.Fatal(err)
	}
	w.WaitGone(auto)
	if got := w.repo.Head("main"); got != head {
		t.Errorf("the branch is at %s; want %s", got, head)
	}
}
