package bootstrap_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"

	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/pullrequest"
)

// TestProposals: what people have done on the branch of a pull request is never lost, and
// what this command has done there is replaced.
func TestProposals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pullrequest.Gitea)
	base := w.repository().Commit("main", "one", gitserver.File("a", "1"))
	interval := time.Minute
	propose := func() error { // with other files each time
		interval += time.Second
		_, err := w.run(func(b *bootstrap.Bootstrap) {
			b.Options.PullRequest, b.Options.Interval, b.Host = "setup", interval, nil
			over(b)
		})
		return err
	}
	if err := propose(); err != nil {
		t.Fatal(err)
	}
	ours := w.repo().Head("setup")
	ann := gitserver.Author{Name: "Ann", Email: "ann@example.com"}
	edited := func() string { // of whoever edits on top
		return w.repo().CommitBy(ann, "setup", "Add Flux alerts for prod", gitserver.File("alerts.yaml", "kind: Alert\n"))
	}
	const flux, person = "Flux <> 1704067200 +0000", "Ann <ann@example.com> 1704067200 +0000"
	tests := map[string]struct {
		why  string
		head func() string
		lost bool // what there is may go
	}{
		"as it was":            {why: "nobody was there", head: func() string { return ours }, lost: true},
		"a reviewer adds":      {why: "the message may begin as ours do", head: edited},
		"a reviewer amends":    {why: "the author is still the same", head: func() string { return w.commit(flux, person, w.tree(ours), base) }},
		"another author":       {why: "the author is another, and nothing else", head: func() string { return w.commit(person, person, w.tree(ours), base) }},
		"on top of a reviewer": {why: "what is below would go, too", head: func() string { return w.commit(flux, flux, w.tree(ours), edited()) }},
		"merged":               {why: "a person did that", head: func() string { return w.commit(flux, flux, w.tree(ours), base, edited()) }},
		"with another file":    {why: "this command does not write it", head: func() string { return w.commit(flux, flux, w.tree(edited()), base) }},
		"on an older commit":   {why: "the branch has moved since", head: func() string { w.repo().Commit("main", "two", gitserver.File("a", "2")); return ours }, lost: true},
	}
	for name, tc := range tests {
		w.repo().Reset("setup", ours)
		head := tc.head()
		w.repo().Reset("setup", head)
		err := propose()
		var refused *bootstrap.Refusal
		switch now := w.repo().Head("setup"); {
		case tc.lost && (err != nil || now == head):
			t.Errorf("%s: %v, and the branch is at %s; want it replaced (%s)", name, err, now, tc.why)
		case !tc.lost && (!errors.As(err, &refused) || refused.Reason != bootstrap.NotOurs || now != head):
			t.Errorf("%s: %v, and the branch is at %s; want it refused, and %s (%s)", name, err, now, head, tc.why)
		}
	}
}

// commit writes a commit as somebody says it is.
func (w *world) commit(author, committer string, tree plumbing.Hash, parents ...string) string {
	w.t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "tree %s\n", tree)
	for _, p := range parents {
		fmt.Fprintf(&text, "parent %s\n", p)
	}
	fmt.Fprintf(&text, "author %s\ncommitter %s\n\nAdd Flux v0.1.0 component and sync manifests\n", author, committer)
	return w.repo().WriteObject("commit", []byte(text.String()))
}

// tree returns that of a commit.
func (w *world) tree(commit string) plumbing.Hash {
	w.t.Helper()
	repo, err := gogit.PlainOpen(w.repo().Path())
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := repo.CommitObject(plumbing.NewHash(commit))
	if err != nil {
		w.t.Fatal(err)
	}
	return c.TreeHash
}
