package imageupdateautomation_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/gitserver"
)

// branched is a world with an automation that has pushed 1.0.1 to the branch auto.
func branched(t *testing.T, adjust ...func(*world)) (*world, *imagev1.ImagePolicy, *imagev1.ImageUpdateAutomation) {
	t.Helper()
	w := prepareWorld(t, gitserver.Options{Push: true})
	for _, f := range adjust {
		f(w)
	}
	w.start()
	first := w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	app := w.policy("app", "1.0.1")
	w.source()
	auto := w.automation("auto", pushTo("auto"))
	w.waitContent("auto", "app.yaml", w.marked("app", "1.0.1"))
	w.waitPushed(auto, "auto")
	if auto.Status.ObservedSourceRevision != "main@sha1:"+first || w.repo.Head("main") != first {
		t.Fatalf("observed %s, and main is at %s; want both at %s", auto.Status.ObservedSourceRevision, w.repo.Head("main"), first)
	}
	return w, app, auto
}

// TestBranchThatIsNotBehind gets another commit on top, without force.
func TestBranchThatIsNotBehind(t *testing.T) {
	t.Parallel()
	w, app, auto := branched(t)
	w.repo.Git("config", "receive.denyNonFastForwards", "true")
	w.selects(app, "1.0.2")
	w.waitContent("auto", "app.yaml", w.marked("app", "1.0.2"))
	w.waitPushed(auto, "auto")
	want := []string{"Update example.com/app:1.0.2", "Update example.com/app:1.0.1", "by a person"}
	if diff := cmp.Diff(want, w.subjects("auto")); diff != "" {
		t.Errorf("commits (-want +got):\n%s", diff)
	}
}

// TestBranchThatIsBehind stays while it has what is wanted, and is then made anew on what
// it is to be merged into.
func TestBranchThatIsBehind(t *testing.T) {
	t.Parallel()
	w, app, auto := branched(t)
	before := w.repo.Head("auto")
	w.commit("main", "other.yaml", "kind: Other\n")
	w.again(auto)
	if got := w.repo.Head("auto"); got != before {
		t.Errorf("the branch has moved from %s to %s; it had all that was wanted", before, got)
	}
	w.selects(app, "1.0.2")
	w.waitContent("auto", "app.yaml", w.marked("app", "1.0.2"))
	w.waitPushed(auto, "auto")
	if diff := cmp.Diff([]string{"Update example.com/app:1.0.2", "by a person", "by a person"}, w.subjects("auto")); diff != "" {
		t.Errorf("commits (-want +got):\n%s", diff)
	}
	if got, want := w.repo.Git("rev-parse", "auto^"), w.repo.Head("main")+"\n"; got != want {
		t.Errorf("the branch is on %s; want it on main at %s", got, want)
	}

	// Once more: what it is made on now is remembered.
	w.commit("main", "third.yaml", "kind: Third\n")
	w.selects(app, "1.0.3")
	w.waitContent("auto", "app.yaml", w.marked("app", "1.0.3"))
	w.waitPushed(auto, "auto")
	if got, want := w.repo.Git("rev-parse", "auto^"), w.repo.Head("main")+"\n"; got != want {
		t.Errorf("the branch is on %s; want it on main at %s", got, want)
	}
}

// TestNewMarkerOnMain gets to a branch that is behind, though no policy has moved.
func TestNewMarkerOnMain(t *testing.T) {
	t.Parallel()
	w, _, auto := branched(t)
	w.commit("main", "more.yaml", w.marked("app", "1.0.0"))
	w.again(auto)
	w.waitContent("auto", "more.yaml", w.marked("app", "1.0.1"))
	w.waitContent("auto", "app.yaml", w.marked("app", "1.0.1"))
}

// TestBranchOfPeople is only ever added to.
func TestBranchOfPeople(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		adjust func(*world)
		people func(w *world)
	}{
		"a commit on top": {people: func(w *world) { w.commit("auto", "fix.yaml", "kind: Fix\n") }},
		"a change of a link": {
			why:    "what is no file counts as well",
			people: func(w *world) { w.repo.Commit("auto", "by a person", gitserver.Symlink("link", "app.yaml")) },
		},
		"a change of the message": {
			why:    "the tree is the same, and the commit is a person's",
			people: func(w *world) { amend(w, "auto") },
		},
		"with GitForcePushBranch off": {
			why:    "the commit that is there is pushed upon",
			adjust: func(w *world) { w.opts.ForcePush = false },
			people: func(*world) {},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var adjust []func(*world)
			if tc.adjust != nil {
				adjust = append(adjust, tc.adjust)
			}
			w, app, auto := branched(t, adjust...)
			tc.people(w)
			theirs := w.repo.Head("auto")
			w.commit("main", "other.yaml", "kind: Other\n")
			w.selects(app, "1.0.2")
			w.waitContent("auto", "app.yaml", w.marked("app", "1.0.2"))
			w.waitPushed(auto, "auto")
			if got := strings.TrimSpace(w.repo.Git("rev-parse", "auto^")); got != theirs {
				t.Errorf("the new commit is on %s; want it on %s (%s)", got, theirs, tc.why)
			}
		})
	}
}

// amend replaces the last commit of a branch by one of the same tree and another message.
func amend(w *world, branch string) {
	w.t.Helper()
	w.repo.Git("update-ref", "refs/heads/"+branch, strings.TrimSpace(w.repo.Git("commit-tree", branch+"^{tree}", "-p", branch+"^", "-m", "reviewed")))
}

// TestMergedBranch: one that is deleted is made again when there is something for it, and
// one that is not deleted is made anew.
func TestMergedBranch(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ deleted, squashed bool }{
		"deleted":               {deleted: true},
		"kept":                  {},
		"deleted, and squashed": {deleted: true, squashed: true},
		"kept, and squashed":    {squashed: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, app, auto := branched(t)
			merged := w.repo.Head("auto")
			if tc.squashed {
				w.commit("main", "app.yaml", w.marked("app", "1.0.1"))
			} else {
				w.repo.Reset("main", merged)
			}
			if tc.deleted {
				w.repo.DeleteRef("refs/heads/auto")
			}
			w.again(auto)
			if head, err := w.repo.Repo.Head("auto"); tc.deleted && err == nil || !tc.deleted && head != merged {
				t.Errorf("the branch is at %q, %v; there was nothing for it", head, err)
			}
			w.commit("main", "other.yaml", "kind: Other\n")
			w.selects(app, "1.0.2")
			w.waitContent("auto", "app.yaml", w.marked("app", "1.0.2"))
			w.waitPushed(auto, "auto")
			if got, want := w.repo.Git("rev-parse", "auto^"), w.repo.Head("main")+"\n"; got != want {
				t.Errorf("the branch is on %s; want it on main at %s", got, want)
			}
		})
	}
}

// TestNoBranchForNothing: there is no branch while what to start from has all.
func TestNoBranchForNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.commit("main", "app.yaml", w.marked("app", "1.0.1"))
	w.policy("app", "1.0.1")
	w.source()
	auto := w.automation("auto", pushTo("auto"))
	w.Wait("the revision in the status", auto, func() bool { return auto.Status.ObservedSourceRevision == "main@sha1:"+first })
	w.WaitReady(auto)
	if head, err := w.repo.Repo.Head("auto"); err == nil {
		t.Errorf("there is a branch at %s", head)
	}
}

// TestRollback: what is no longer wanted is taken back on the branch that proposes it.
func TestRollback(t *testing.T) {
	t.Parallel()
	w, app, auto := branched(t)
	w.selects(app, "1.0.0")
	w.waitContent("auto", "app.yaml", w.marked("app", "1.0.0"))
	w.waitPushed(auto, "auto")
}

// TestTagToStartFrom: a tag, and a branch to push to.
func TestTagToStartFrom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tagged := w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	w.repo.TagAnnotated("v1", tagged, "release")
	w.commit("main", "other.yaml", "kind: Other\n")
	w.policy("app", "1.0.1")
	w.source()
	auto := w.automation("auto", pushTo("auto"), func(a *imagev1.ImageUpdateAutomation) {
		a.Spec.GitSpec.Checkout = &imagev1.GitCheckoutSpec{}
		a.Spec.GitSpec.Checkout.Reference.Tag = "v1"
	})
	w.waitContent("auto", "app.yaml", w.marked("app", "1.0.1"))
	w.waitPushed(auto, "auto")
	if got := strings.TrimSpace(w.repo.Git("rev-parse", "auto^")); got != tagged || auto.Status.ObservedSourceRevision != "v1@sha1:"+tagged {
		t.Errorf("the commit is on %s, and %s is observed; want %s", got, auto.Status.ObservedSourceRevision, tagged)
	}
}
