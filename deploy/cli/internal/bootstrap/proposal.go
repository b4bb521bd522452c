package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/object"

	"weir.dev/pkg/git"
)

// proposed reports whether the branch of a pull request has the files of the plan. It
// refuses to replace what is not ours there: people may have added to it.
func (r *Repository) proposed(ctx context.Context, v *View, o Options, p Plan) (bool, error) {
	head, err := r.fetch(ctx, git.Target{Want: v.pull, Commit: v.pull, Label: o.PullRequest})
	if err != nil {
		return false, err
	}
	defer func() { _ = head.Close() }() // it was only read
	entries, err := head.Entries()
	if err != nil {
		return false, err
	}
	files := newFiles(head, entries, nil)
	same := true
	for _, e := range p.Edits {
		data, err := files.ReadFile(e.Path)
		same = same && err == nil && bytes.Equal(data, e.Content)
	}
	if same {
		return true, nil
	}
	ours, err := r.wrote(ctx, head, entries, o)
	if err == nil && !ours {
		err = refuse(NotOurs, "the branch %q has commits that are not of this command, which would be lost", o.PullRequest).
			next("merge or delete it, or name another: --pull-request-branch=<name>")
	}
	return false, err
}

// wrote reports whether a commit is one that this command has made, and all that there is
// to lose: on top of a commit of the branch, and in no file but those of the installation.
func (r *Repository) wrote(ctx context.Context, head *git.Snapshot, entries []git.Entry, o Options) (bool, error) {
	c := head.Commit
	if !signedOff(c, o) || len(c.ParentHashes) != 1 {
		return false, nil
	}
	// The label has it looked for in the history of the branch.
	parent, err := r.fetch(ctx, git.Target{Want: c.ParentHashes[0], Commit: c.ParentHashes[0], Label: o.Branch, Unadvertised: true})
	if errors.Is(err, git.ErrNoRef) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = parent.Close() }() // it was only read
	before, err := parent.Entries()
	if err != nil {
		return false, err
	}
	for _, changed := range differences(before, entries) {
		if !o.writes(changed) {
			return false, nil
		}
	}
	return true, nil
}

// signedOff reports whether a commit says that this command has made it, and nobody after it:
// who edits a commit of another becomes its committer.
func signedOff(c *object.Commit, o Options) bool {
	author, committer := c.Author, c.Committer
	return author.Name == o.Commit.Name && author.Email == o.Commit.Email &&
		author.Name == committer.Name && author.Email == committer.Email && author.When.Equal(committer.When) &&
		strings.HasPrefix(c.Message, messageStart)
}

// writes reports whether this command writes a file.
func (o Options) writes(file string) bool {
	if path.Dir(file) != o.Folder() {
		return false
	}
	switch path.Base(file) {
	case componentsFile, syncFile, kustomizationFile, besideFile:
		return true
	}
	return false
}

// differences returns the paths of the files that one of two commits has otherwise than the
// other.
func differences(before, after []git.Entry) []string {
	had := make(map[string]git.Entry, len(before))
	for _, e := range before {
		if !folder(e) {
			had[e.Path] = e
		}
	}
	var all []string
	for _, e := range after {
		if old, there := had[e.Path]; !folder(e) && (!there || e != old) {
			all = append(all, e.Path)
		}
		delete(had, e.Path)
	}
	for name := range had {
		all = append(all, name)
	}
	return all
}

// folder reports whether an entry is nothing but what is in it.
func folder(e git.Entry) bool { return e.Dir && !e.Submodule }

// fetch fetches a commit.
func (r *Repository) fetch(ctx context.Context, t git.Target) (*git.Snapshot, error) {
	conn, err := r.client.Dial(ctx, r.remote)
	if err != nil {
		return nil, r.explain(err)
	}
	defer func() { _ = conn.Close() }() // nothing was sent that could get lost
	snapshot, err := r.store.Fetch(ctx, conn, t)
	if err != nil {
		return nil, r.explain(err)
	}
	return snapshot, nil
}
