package imageupdateautomation_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	imagev1 "weir.dev/api/image/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/testplane"
)

// interfere makes a person commit to a branch ahead of each of the next n pushes.
func (w *world) interfere(branch string, n int) {
	var done atomic.Int64
	w.git.Faults.Set(gitserver.Only(gitserver.ReceivePack, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if i := done.Add(1); i <= int64(n) {
				// In a request, nothing may end the test.
				if _, err := w.repo.Repo.Commit(branch, fmt.Sprint("person ", i), gitserver.File(fmt.Sprintf("person-%d.yaml", i), "kind: Person\n")); err != nil {
					w.t.Errorf("a person's commit: %v", err)
				}
			}
			next.ServeHTTP(rw, r)
		})
	}))
}

// TestPeoplePushMeanwhile: every commit of theirs stays, and the update comes on top within
// the same run.
func TestPeoplePushMeanwhile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		branch string
		adjust func(*imagev1.ImageUpdateAutomation)
	}{
		"to the branch that it starts from": {branch: "main", adjust: func(*imagev1.ImageUpdateAutomation) {}},
		"to another branch":                 {branch: "auto", adjust: pushTo("auto")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
			if tc.branch != "main" {
				w.repo.Reset(tc.branch, first)
			}
			w.source()
			app := w.policy("app", "1.0.0")
			auto := w.automation("auto", tc.adjust)
			w.WaitReady(auto)
			const people = 3
			w.interfere(tc.branch, people)
			w.selects(app, "1.0.1")
			w.waitContent(tc.branch, "app.yaml", w.marked("app", "1.0.1"))
			w.waitPushed(auto, tc.branch)
			subjects := w.subjects(tc.branch)
			want := []string{"Update example.com/app:1.0.1", "person 3", "person 2", "person 1", "by a person"}
			if !slices.Equal(subjects, want) {
				t.Errorf("the branch has %q; want %q", subjects, want)
			}
			for _, e := range w.events(auto) {
				if e.Type == "Warning" {
					t.Errorf("an event says %q; people who push are no failure", e.Message)
				}
			}
		})
	}
}

// TestPeopleWhoNeverStop: it gives up for a while, says so, and loses nothing.
func TestPeopleWhoNeverStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	w.source()
	w.interfere("main", 1<<30)
	w.policy("app", "1.0.1")
	auto := w.automation("auto")
	w.waitFails(auto, imagev1.ReasonGitOperationFailed, "failed to update source: ", "moved")
	w.git.Faults.Set(nil)
	w.waitContent("main", "app.yaml", w.marked("app", "1.0.1"))
	w.waitPushed(auto, "main")
	if w.subjects("main")[len(w.subjects("main"))-1] != "by a person" || w.repo.Git("ls-tree", "main", "person-1.yaml") == "" {
		t.Error("a commit of a person is lost")
	}
}

// TestAutomationsOnOneBranch: each of them writes its part, and no push of one makes
// another fail.
func TestAutomationsOnOneBranch(t *testing.T) {
	t.Parallel()
	const automations = 4
	w := newWorld(t)
	var files []gitserver.Change
	for i := range automations {
		files = append(files, gitserver.File(fmt.Sprintf("team-%d/app.yaml", i), w.marked("app", "1.0.0")))
	}
	w.repo.Commit("main", "by a person", files...)
	app := w.policy("app", "1.0.0")
	w.source()
	var autos []*imagev1.ImageUpdateAutomation
	for i := range automations {
		autos = append(autos, w.automation(fmt.Sprint("auto-", i), func(a *imagev1.ImageUpdateAutomation) {
			a.Spec.Update = &imagev1.UpdateStrategy{Path: fmt.Sprintf("team-%d", i)}
		}))
		w.WaitReady(autos[i])
	}
	for _, tag := range []string{"1.0.1", "1.0.2"} {
		w.selects(app, tag)
		for i := range automations {
			w.waitContent("main", fmt.Sprintf("team-%d/app.yaml", i), w.marked("app", tag))
		}
	}
	for _, auto := range autos {
		w.WaitReady(auto)
		for _, e := range w.events(auto) {
			if e.Type == "Warning" {
				t.Errorf("an event of %s says %q", auto.Name, e.Message)
			}
		}
	}
	if got := len(w.subjects("main")); got != 1+2*automations {
		t.Errorf("%d commits; want the first and one for each automation and tag: %q", got, w.subjects("main"))
	}
}

// TestKilledAfterPush: the push is what counts. A run that could not say that it has pushed
// is followed by one that finds all as it should be.
func TestKilledAfterPush(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		branch string
		adjust func(*imagev1.ImageUpdateAutomation)
	}{
		"to the branch that it starts from": {branch: "main", adjust: func(*imagev1.ImageUpdateAutomation) {}},
		"to another branch":                 {branch: "auto", adjust: pushTo("auto")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
			app := w.policy("app", "1.0.0")
			w.source()
			auto := w.automation("auto", tc.adjust)
			w.WaitReady(auto)
			w.Traffic.Break(func(r testplane.Request) error {
				if r.Write() && r.Resource == "imageupdateautomations" {
					return errBroken
				}
				return nil
			})
			w.selects(app, "1.0.1")
			w.waitContent(tc.branch, "app.yaml", w.marked("app", "1.0.1"))
			w.stop()
			head := w.repo.Head(tc.branch)
			w.Traffic.Break(nil)
			w.start()
			w.Wait("what was pushed in the status", auto, func() bool {
				return auto.Status.ObservedPolicies["app"].Tag == "1.0.1"
			})
			w.WaitReady(auto)
			if got := w.repo.Head(tc.branch); got != head {
				t.Errorf("it has pushed again: %q", w.subjects(tc.branch))
			}
			if tc.branch != "main" && auto.Status.LastPushCommit != head {
				t.Errorf("lastPushCommit is %q; want %q, which is its own", auto.Status.LastPushCommit, head)
			}
		})
	}
}

// TestLostAnswer: a push that was done, and whose answer got lost, is a push.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	w.policy("app", "1.0.1")
	w.source()
	w.git.Faults.Set(gitserver.Only(gitserver.ReceivePack, gitserver.Times(1, gitserver.Lose())))
	auto := w.automation("auto")
	w.waitContent("main", "app.yaml", w.marked("app", "1.0.1"))
	w.waitPushed(auto, "main")
	if got := w.subjects("main"); len(got) != 2 {
		t.Errorf("the branch has %q; want one update", got)
	}
}

// TestSourceThatCannotBeAsked does not make a push fail.
func TestSourceThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("main", "app.yaml", w.marked("app", "1.0.0"))
	w.policy("app", "1.0.1")
	w.source()
	w.Traffic.Break(func(r testplane.Request) error {
		if r.Write() && r.Resource == "gitrepositories" {
			return errors.New("forbidden")
		}
		return nil
	})
	auto := w.automation("auto")
	w.waitPushed(auto, "main")
	w.Eventually("a line in the log", func() bool { return strings.Contains(w.log.String(), "asking the source to reconcile") })
}
