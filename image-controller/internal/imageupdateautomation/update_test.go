package imageupdateautomation_test

import (
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/testplane"
)

// TestUpdate is the whole way: what policies have selected goes into one commit, the status
// and an event tell it, and the source is asked to look.
func TestUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.repo.Commit("main", "by a person",
		gitserver.File("app.yaml", w.marked("app", "1.0.0")), gitserver.File("job.yaml", w.marked("job", "2.0.0")))
	app, job := w.policy("app", "1.0.0"), w.policy("job", "2.0.0")
	source := w.source()
	auto := w.automation("auto")
	w.Wait("the revision in the status", auto, func() bool { return auto.Status.ObservedSourceRevision == "main@sha1:"+first })
	w.WaitReady(auto)
	if auto.Status.LastPushCommit != "" || auto.Status.LastAutomationRunTime == nil {
		t.Errorf("the status is %+v; want a run, and no push", auto.Status)
	}

	// Both move while it is suspended, so that one run sees both. That they have moved is
	// told by another watch than that it goes on, so each is awaited by the run it brings.
	w.settle()
	for _, change := range []func(){
		func() { w.Patch(auto, "test", "spec: {suspend: true}") },
		func() { w.selects(app, "1.0.1") },
		func() { w.selects(job, "2.0.1") },
	} {
		before := w.runs(auto)
		change()
		w.Eventually("a run that sees the change", func() bool { return w.runs(auto) > before })
	}
	w.Patch(auto, "test", "spec: {suspend: false}")
	w.waitContent("main", "app.yaml", w.marked("app", "1.0.1"))
	w.waitPushed(auto, "main")
	if diff := cmp.Diff([]string{"Update example.com/app:1.0.1 example.com/job:2.0.1", "by a person"}, w.subjects("main")); diff != "" {
		t.Errorf("commits (-want +got):\n%s", diff)
	}
	if got, want := w.content("main", "job.yaml"), w.marked("job", "2.0.1"); got != want {
		t.Errorf("job.yaml is\n%s; want\n%s", got, want)
	}
	if got := w.repo.Git("log", "-1", "--format=%an <%ae>, %cn <%ce>", "main"); got != "bot <bot@example.com>, bot <bot@example.com>\n" {
		t.Errorf("the commit is by %s", got)
	}
	head := w.repo.Head("main")
	want := imagev1.ObservedPolicies{"app": {Name: "example.com/app", Tag: "1.0.1"}, "job": {Name: "example.com/job", Tag: "2.0.1"}}
	if diff := cmp.Diff(want, auto.Status.ObservedPolicies); diff != "" {
		t.Errorf("observedPolicies (-want +got):\n%s", diff)
	}
	if auto.Status.ObservedSourceRevision != "main@sha1:"+head || auto.Status.LastPushTime == nil {
		t.Errorf("the status is %+v; want that %s was pushed", auto.Status, head)
	}
	if got := conditions.GetMessage(auto, meta.ReadyCondition); got != "repository up-to-date" {
		t.Errorf("Ready says %q", got)
	}
	w.waitEvent(auto, corev1.EventTypeNormal, imagev1.ReasonSucceeded, "pushed commit '"+head[:7]+"' to branch 'main'\nUpdate example.com/app:1.0.1")
	w.Wait("a request of the source", source, func() bool { return source.Annotations[meta.ReconcileRequestAnnotation] != "" })
}

// TestNothingToDo: while nothing changes, a run asks the remote for its refs, and the API
// server nothing, also right after a restart.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		adjust func(*imagev1.ImageUpdateAutomation)
	}{
		"to the branch that it starts from": {adjust: func(*imagev1.ImageUpdateAutomation) {}},
		"to another branch":                 {why: "the refs tell of both", adjust: pushTo("auto")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
			w.policy("app", "1.0.1")
			w.source()
			auto := w.automation("auto", often, tc.adjust)
			branch := "main"
			if auto.Spec.GitSpec.Push != nil {
				branch = auto.Spec.GitSpec.Push.Branch
			}
			w.waitContent(branch, "app.yaml", w.marked("app", "1.0.1"))
			w.waitPushed(auto, branch)
			for _, state := range []string{"later", "after a restart"} {
				w.settle()
				before, ran := w.git.Counter.Counts(), w.runs(auto)
				allow := w.Traffic.Forbid(testplane.Any)
				w.Eventually("four runs", func() bool { return w.runs(auto) >= ran+4 })
				allow()
				after, runs := w.git.Counter.Counts(), w.runs(auto)-ran
				asked := after.Advertisements - before.Advertisements
				// At both ends, a run may be under way.
				if asked < runs-2 || asked > runs+2 || after.UploadPacks != before.UploadPacks || after.ReceivePacks != before.ReceivePacks {
					t.Errorf("%s, %d runs made %d requests for refs, %d for packs and %d pushes; want one for refs each (%s)",
						state, runs, asked, after.UploadPacks-before.UploadPacks, after.ReceivePacks-before.ReceivePacks, tc.why)
				}
				if state == "later" {
					w.restart()
					w.Eventually("a run", func() bool { return w.runs(auto) > ran+runs })
				}
			}
		})
	}
}

// TestMarkersThatAreNotWritten are told, with file and line, and do not keep others from
// being updated.
func TestMarkersThatAreNotWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo.Commit("main", "by a person",
		gitserver.File("app.yaml", w.marked("app", "1.0.0")),
		gitserver.File("typo.yaml", w.marked("apb", "1.0.0")),
		gitserver.File("waits.yaml", w.marked("waits", "1.0.0")),
		gitserver.File("chart/template.yaml", "image: {{ .x }} # {\"$imagepolicy\": \""+w.Namespace+":app\"}\n{{ end }}\n"))
	w.policy("app", "1.0.1")
	w.policy("waits", "")
	w.source()
	auto := w.automation("auto")
	w.waitContent("main", "app.yaml", w.marked("app", "1.0.1"))
	w.waitPushed(auto, "main")
	message := conditions.GetMessage(auto, meta.ReadyCondition)
	if !says(message, "repository up-to-date; not updated: ", "typo.yaml:3: unknown policy", "apb", "chart/template.yaml: ") || says(message, "waits.yaml") {
		t.Errorf("Ready says %q; want the typo and the template, and not the policy that has no image yet", message)
	}
	w.waitEvent(auto, corev1.EventTypeWarning, imagev1.ReasonMarkersSkipped, "typo.yaml:3: unknown policy")
	w.policy("apb", "1.0.2")
	w.waitContent("main", "typo.yaml", w.marked("apb", "1.0.2"))
	w.Wait("a message without the typo", auto, func() bool { return !says(conditions.GetMessage(auto, meta.ReadyCondition), "typo.yaml") })
}

func TestScopeOfUpdates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo.Commit("main", "by a person",
		gitserver.File("in/app.yaml", w.marked("app", "1.0.0")), gitserver.File("out/app.yaml", w.marked("app", "1.0.0")),
		gitserver.File("in/job.yaml", w.marked("job", "1.0.0")))
	app := w.policy("app", "1.0.1")
	w.Patch(app, "test", "metadata: {labels: {team: a}}")
	w.policy("job", "1.0.1")
	w.source()
	auto := w.automation("auto", func(a *imagev1.ImageUpdateAutomation) {
		a.Spec.Update = &imagev1.UpdateStrategy{Strategy: imagev1.UpdateStrategySetters, Path: "../in/./"}
		w.selectTeam(a, "a")
	})
	w.waitContent("main", "in/app.yaml", w.marked("app", "1.0.1"))
	w.waitPushed(auto, "main")
	for _, path := range []string{"out/app.yaml", "in/job.yaml"} {
		if says(w.content("main", path), "1.0.1") {
			t.Errorf("%s is updated, which is not selected", path)
		}
	}
	if got := conditions.GetMessage(auto, meta.ReadyCondition); got != "repository up-to-date" {
		t.Errorf("Ready says %q; markers of policies that are not selected are for others", got)
	}
	w.Patch(auto, "test", "spec: {policySelector: null, update: {path: null}}")
	w.waitContent("main", "in/job.yaml", w.marked("job", "1.0.1"))
	w.waitContent("main", "out/app.yaml", w.marked("app", "1.0.1"))
}
