package pullrequest_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/pullrequest"
	"weir.dev/pkg/pullrequest/hosttest"
)

func TestOpensOnceAndThenAsksOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		pr := w.ensure(t, request())
		want := pullrequest.PullRequest{URL: w.URL() + "/team/app/pulls/1", Number: 1, State: pullrequest.Open, Created: true}
		if diff := cmp.Diff(want, pr); diff != "" {
			t.Errorf("what was opened (-want +got):\n%s", diff)
		}
		there := w.only(t)
		if there.Title != "Update app to 1.0.1" || !strings.HasPrefix(there.Body, "It is newer.\n") || !strings.Contains(there.Body, "=apps/updates ") {
			t.Errorf("the host has %+v", there)
		}
		want.Created = false
		for range 3 {
			cost := w.costs(func() { pr = w.ensure(t, request()) })
			if diff := cmp.Diff(hosttest.Counts{Reads: 1}, cost); diff != "" {
				t.Errorf("requests with nothing to do (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, pr); diff != "" {
				t.Errorf("what there is (-want +got):\n%s", diff)
			}
		}
	})
}

func TestDescribesTheNextCommit(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.ensure(t, request())
		w.Push("updates", second)
		cost := w.costs(func() {
			if pr := w.ensure(t, request(next)); !pr.Updated || pr.Created {
				t.Errorf("Ensure = %+v, want an update", pr)
			}
		})
		if diff := cmp.Diff(hosttest.Counts{Reads: 1, Updates: 1}, cost); diff != "" {
			t.Errorf("requests of an update (-want +got):\n%s", diff)
		}
		there := w.only(t)
		if there.Title != "Update app to 1.0.2" || !strings.HasPrefix(there.Body, "It is newer still.\n") || strings.Count(there.Body, "<!--") != 1 {
			t.Errorf("the host has %+v", there)
		}
	})
}

func TestWritesNothingThatIsThere(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.ensure(t, request())
		for name, change := range map[string]func(*pullrequest.Request){
			"another text for the same commit": func(r *pullrequest.Request) { r.Title = "Update something" },
			"another commit with the same text": func(r *pullrequest.Request) {
				r.Commit = second
			},
			"another commit without a text": func(r *pullrequest.Request) { r.Commit, r.Title, r.Body = second, "", "" },
		} {
			cost := w.costs(func() { w.ensure(t, request(change)) })
			if diff := cmp.Diff(hosttest.Counts{Reads: 1}, cost); diff != "" {
				t.Errorf("%s: requests (-want +got):\n%s", name, diff)
			}
		}
	})
}

func TestKeepsWhatAPersonWrote(t *testing.T) {
	t.Parallel()
	edit := func(change func(*hosttest.PullRequest)) func(w *world) {
		return func(w *world) { w.Edit(1, change) }
	}
	tests := map[string]struct {
		why     string
		edit    func(w *world)
		title   string
		has     []string // the text, after the next commit
		hasNot  []string
		updates int
	}{
		"nothing": {
			why: "there is nobody's edit to keep", edit: func(*world) {},
			title: "Update app to 1.0.2", has: []string{"It is newer still."}, hasNot: []string{"It is newer.\n"}, updates: 1,
		},
		"a title": {
			why: "the text is still ours", edit: edit(func(p *hosttest.PullRequest) { p.Title = "Draft: " + p.Title }),
			title: "Draft: Update app to 1.0.1", has: []string{"It is newer still."}, updates: 1,
		},
		"a text": {
			why: "the title is still ours", edit: edit(func(p *hosttest.PullRequest) { p.Body = "Do not merge before Monday.\n\n" + p.Body }),
			title: "Update app to 1.0.2", has: []string{"Do not merge before Monday.\n\nIt is newer."}, hasNot: []string{"still"}, updates: 1,
		},
		"a text below ours": {
			why: "a person may write anywhere", edit: edit(func(p *hosttest.PullRequest) { p.Body += "\n\nDo not merge before Monday." }),
			title: "Update app to 1.0.2", has: []string{"It is newer.", "Do not merge before Monday."}, hasNot: []string{"still"}, updates: 1,
		},
		"both": {
			why: "nothing is ours any more", edit: edit(func(p *hosttest.PullRequest) { p.Title, p.Body = "Mine", "Mine too. "+p.Body }),
			title: "Mine", has: []string{"Mine too. It is newer."}, hasNot: []string{"still"},
		},
		"everything": {
			why: "who deletes the comment takes it over", edit: edit(func(p *hosttest.PullRequest) { p.Body = "" }),
			title: "Update app to 1.0.1", hasNot: []string{"newer"},
		},
		"line ends": {
			why: "a page may save others than it was given", edit: edit(func(p *hosttest.PullRequest) { p.Body = strings.ReplaceAll(p.Body, "\n", "\r\n") + "\r\n" }),
			title: "Update app to 1.0.2", has: []string{"It is newer still."}, updates: 1,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, w *world) {
				w.ensure(t, request())
				tc.edit(w)
				w.Push("updates", second)
				cost := w.costs(func() { w.ensure(t, request(next)) })
				there := w.only(t)
				if there.Title != tc.title || cost.Updates != tc.updates {
					t.Errorf("title %q after %d updates, want %q after %d (%s)", there.Title, cost.Updates, tc.title, tc.updates, tc.why)
				}
				for _, part := range tc.has {
					if !strings.Contains(there.Body, part) {
						t.Errorf("the text has no %q (%s):\n%s", part, tc.why, there.Body)
					}
				}
				for _, part := range tc.hasNot {
					if strings.Contains(there.Body, part) {
						t.Errorf("the text has %q (%s):\n%s", part, tc.why, there.Body)
					}
				}
				if cost := w.costs(func() { w.ensure(t, request(next)) }); cost != (hosttest.Counts{Reads: 1}) {
					t.Errorf("once more takes %+v (%s)", cost, tc.why)
				}
			})
		})
	}
}

// TestATitleIsFollowedBesideAnEditedText: the comment in a text that a person has edited
// still knows which titles are ours.
func TestATitleIsFollowedBesideAnEditedText(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.ensure(t, request())
		w.Edit(1, func(p *hosttest.PullRequest) { p.Body = "Mine.\n" + p.Body })
		for i, title := range []string{"Update app to 1.0.2", "Update app to 1.0.3"} {
			w.ensure(t, request(func(r *pullrequest.Request) { r.Title, r.Commit = title, fmt.Sprintf("%040d", i+7) }))
			if there := w.only(t); there.Title != title || !strings.HasPrefix(there.Body, "Mine.\nIt is newer.") {
				t.Errorf("the host has %+v, want title %q", there, title)
			}
		}
	})
}

func TestSomebodyElsesServes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		open func(t *testing.T, w *world)
	}{
		"a person's": {
			why: "who opened it by hand described it, too",
			open: func(_ *testing.T, w *world) {
				w.Open(hosttest.PullRequest{Title: "Theirs", Body: "Please review.", Head: "updates", Base: "main"})
			},
		},
		"another automation's": {
			why: "two that push to one branch do not fight over its text",
			open: func(t *testing.T, w *world) {
				w.ensure(t, request(func(r *pullrequest.Request) { r.Owner, r.Commit = "other/one", "0" }))
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, w *world) {
				tc.open(t, w)
				was := w.only(t)
				var pr pullrequest.PullRequest
				cost := w.costs(func() { pr = w.ensure(t, request(next, func(r *pullrequest.Request) { r.Commit = first })) })
				if pr.Number != 1 || pr.Created || pr.Updated || cost != (hosttest.Counts{Reads: 1}) {
					t.Errorf("Ensure = %+v, by %+v (%s)", pr, cost, tc.why)
				}
				if diff := cmp.Diff(was, w.only(t)); diff != "" {
					t.Errorf("what the host has (-before +after), %s:\n%s", tc.why, diff)
				}
			})
		})
	}
}

func TestHearsAnAnswer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		answer func(w *world)
		state  pullrequest.State
	}{
		"no": {
			why: "closing is an answer", answer: func(w *world) { w.Close(1) }, state: pullrequest.Closed,
		},
		"no, by somebody who took the comment out": {
			why:    "the host knows the commit as well",
			answer: func(w *world) { w.Edit(1, func(p *hosttest.PullRequest) { p.Body = "" }); w.Close(1) }, state: pullrequest.Closed,
		},
		"yes": {
			why: "what is merged is done with", answer: func(w *world) { w.Merge(1) }, state: pullrequest.Merged,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, w *world) {
				w.ensure(t, request())
				tc.answer(w)
				cost := w.costs(func() {
					if pr := w.ensure(t, request()); pr.State != tc.state || pr.Number != 1 || pr.Created {
						t.Errorf("Ensure = %+v, want %q (%s)", pr, tc.state, tc.why)
					}
				})
				if cost.Sum() != cost.Reads || cost.Reads > 2 {
					t.Errorf("hearing it takes %+v (%s)", cost, tc.why)
				}
				w.only(t)

				w.Push("updates", second)
				if pr := w.ensure(t, request(next)); pr.State != pullrequest.Open || pr.Number != 2 || !pr.Created {
					t.Errorf("after the next commit, Ensure = %+v (%s)", pr, tc.why)
				}
				if pr := w.ensure(t, request(next)); pr.Number != 2 || pr.Created || pr.Updated {
					t.Errorf("and again, Ensure = %+v (%s)", pr, tc.why)
				}
			})
		})
	}
}

// TestNoIsHeardAfterAnEdit: the comment in the text knows an older commit than the one
// that a person says no to.
func TestNoIsHeardAfterAnEdit(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.ensure(t, request())
		w.Edit(1, func(p *hosttest.PullRequest) { p.Title, p.Body = "Mine", "Mine. "+p.Body })
		w.Push("updates", second)
		w.ensure(t, request(next))
		w.Close(1)
		if pr := w.ensure(t, request(next)); pr.State != pullrequest.Closed || pr.Created {
			t.Errorf("Ensure = %+v, want that it stays closed", pr)
		}
		w.only(t)
	})
}

func TestAsksAgainOnABranchThatWasMadeAnew(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.ensure(t, request())
		w.Delete("updates")
		w.Push("updates", second)
		if pr := w.ensure(t, request(func(r *pullrequest.Request) { r.Commit = second })); pr.Number != 2 || !pr.Created {
			t.Errorf("Ensure = %+v, want another one", pr)
		}
	})
}

func TestServesWhatWasReopened(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.ensure(t, request())
		w.Close(1)
		w.Close(w.Open(hosttest.PullRequest{Title: "A second thought", Head: "updates", Base: "main"}))
		w.Edit(1, func(p *hosttest.PullRequest) { p.State = hosttest.Open })
		w.Edit(2, func(*hosttest.PullRequest) {}) // which is the newest by all counts
		w.Push("updates", second)
		cost := w.costs(func() {
			if pr := w.ensure(t, request(next)); pr.Number != 1 || !pr.Updated {
				t.Errorf("Ensure = %+v, want an update of the first", pr)
			}
		})
		if cost != (hosttest.Counts{Reads: 1, Updates: 1}) {
			t.Errorf("it takes %+v", cost)
		}
	})
}

func TestOpensOneOnly(t *testing.T) {
	t.Parallel()
	t.Run("beside another who opens it meanwhile", func(t *testing.T) {
		onEach(t, func(t *testing.T, w *world) {
			w.Break(before(http.MethodPost, func() {
				w.Open(hosttest.PullRequest{Title: "Theirs", Head: "updates", Base: "main"})
			}))
			if pr := w.ensure(t, request()); pr.Number != 1 || pr.Created || pr.State != pullrequest.Open {
				t.Errorf("Ensure = %+v, want the other's", pr)
			}
			w.only(t)
		})
	})
	t.Run("when the answer is lost", func(t *testing.T) {
		onEach(t, func(t *testing.T, w *world) {
			w.Break(hosttest.On(http.MethodPost, w.Lost()))
			if pr, err := w.client.Ensure(t.Context(), request()); err == nil {
				t.Errorf("Ensure = %+v without an answer", pr)
			}
			w.Break(nil)
			cost := w.costs(func() {
				if pr := w.ensure(t, request()); pr.Number != 1 || pr.Created || pr.Updated {
					t.Errorf("Ensure = %+v", pr)
				}
			})
			if cost != (hosttest.Counts{Reads: 1}) {
				t.Errorf("the second time takes %+v", cost)
			}
			w.only(t)
		})
	})
	t.Run("when an older one was opened again", func(t *testing.T) {
		onEach(t, func(t *testing.T, w *world) {
			w.ensure(t, request())
			w.Close(1)
			for range 60 { // more than a page
				w.Close(w.Open(hosttest.PullRequest{Title: "Theirs", Head: "updates", Base: "main", Commit: "3"}))
			}
			w.Edit(1, func(p *hosttest.PullRequest) { p.State = hosttest.Open })
			w.Edit(2, func(p *hosttest.PullRequest) { p.Title = "Newer" })
			w.Push("updates", second)
			if pr := w.ensure(t, request(next)); pr.Number != 1 || pr.Created {
				t.Errorf("Ensure = %+v, want the first", pr)
			}
		})
	})
}

func TestForksAreNotMeant(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		crowd := func() {
			for range 70 { // more than a page
				w.Open(hosttest.PullRequest{Title: "Buy", Head: "updates", Base: "main", Fork: true, Commit: first})
			}
		}
		crowd()
		if pr := w.ensure(t, request()); pr.Number != 71 || !pr.Created {
			t.Errorf("Ensure = %+v, want one of our own", pr)
		}
		crowd()
		cost := w.costs(func() {
			if pr := w.ensure(t, request()); pr.Number != 71 || pr.Created {
				t.Errorf("Ensure = %+v, want the same", pr)
			}
		})
		if cost.Sum() != cost.Reads || cost.Reads > 2 {
			t.Errorf("finding it takes %+v", cost)
		}
	})
}

func TestOtherBranchesAreNotMeant(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.Open(hosttest.PullRequest{Title: "Other head", Head: "updates-2", Base: "main"})
		w.Open(hosttest.PullRequest{Title: "Other base", Head: "updates", Base: "release"})
		if pr := w.ensure(t, request()); pr.Number != 3 || !pr.Created {
			t.Errorf("Ensure = %+v, want one of our own", pr)
		}
		for range 120 {
			w.Open(hosttest.PullRequest{Title: "Another", Head: "feature", Base: "main"})
		}
		if pr := w.ensure(t, request()); pr.Number != 3 || pr.Created {
			t.Errorf("Ensure = %+v, want the same among many", pr)
		}
	})
}

func TestKeepsBounds(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		long := request(func(r *pullrequest.Request) {
			r.Title = strings.Repeat("ä very long title\n", 50)
			r.Body = strings.Repeat("A line of text with \x00 and \xff in it.\n", 5000)
		})
		w.ensure(t, long)
		there := w.only(t)
		if n := utf8.RuneCountInString(there.Title); n > 255 || n < 100 || strings.Contains(there.Title, "\n") {
			t.Errorf("the title has %d characters: %q", n, there.Title)
		}
		if n := len(there.Body); n > 65_536 || n < 30_000 || !utf8.ValidString(there.Body) || strings.ContainsRune(there.Body, 0) {
			t.Errorf("the text has %d bytes", n)
		}
		if cost := w.costs(func() { w.ensure(t, long) }); cost != (hosttest.Counts{Reads: 1}) {
			t.Errorf("once more takes %+v", cost)
		}
	})
}

func TestCommandsOfGitLabAreText(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hosttest.GitLab)
	w.ensure(t, request(func(r *pullrequest.Request) { r.Body = "Files:\n/merge\n  /approve now\napps/app.yaml" }))
	if body := w.only(t).Body; !strings.HasPrefix(body, "Files:\n\\/merge\n  \\/approve now\napps/app.yaml\n") {
		t.Errorf("the description is\n%s", body)
	}
}

func TestNothingToMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hosttest.GitHub)
	w.Push("main", first)
	if pr := w.ensure(t, request()); pr != (pullrequest.PullRequest{}) {
		t.Errorf("Ensure = %+v, want nothing", pr)
	}
	if all := w.All(); len(all) > 0 {
		t.Errorf("there are %+v", all)
	}
}

func TestRefusesWhatCannotBeAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hosttest.Gitea)
	for name, change := range map[string]func(*pullrequest.Request){
		"no owner":  func(r *pullrequest.Request) { r.Owner = "" },
		"no head":   func(r *pullrequest.Request) { r.Head = "" },
		"no base":   func(r *pullrequest.Request) { r.Base = "" },
		"no commit": func(r *pullrequest.Request) { r.Commit = "" },
		"one twice": func(r *pullrequest.Request) { r.Head = r.Base },
	} {
		if _, err := w.client.Ensure(t.Context(), request(change)); !errors.Is(err, pullrequest.ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if n := w.Counts().Sum(); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}
