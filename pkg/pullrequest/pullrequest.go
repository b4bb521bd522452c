// Package pullrequest asks for the merge of a branch that was pushed: a pull request
// of GitHub, Gitea or Forgejo, a merge request of GitLab. There is at most one for a
// branch into another, which is opened once and described anew when the branch moves.
//
// Ensure may be interrupted anywhere, and called again with the same at any time: it
// looks before it does anything, and where there is nothing to do it has asked one
// question. What a person decides or writes stays:
//
//   - Who closes a pull request says no to the commit that it ends with. The next commit
//     that is pushed to the branch is asked about again, in a new pull request; so is
//     the same change on a branch that was deleted and made again.
//   - What was merged is done with; the next commit gets a new pull request.
//   - A title or a text that a person has changed is not changed again. A comment in the
//     text, which no page shows, says which automation wrote it, and the digests of what
//     it wrote. A pull request without that comment is a person's own: it serves, and
//     stays as it is. (No host knows a conditional update. Who saves an edit in the
//     moment between our look and our update loses it.)
//
// The three APIs are spoken over net/http, five requests each: a client library for
// each would be three large dependencies, most of them about something else.
//
// The caller brings deadlines by context, reads Secrets, and says which commit the
// branch ends with.
package pullrequest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Request is what to ask for.
type Request struct {
	// Owner names the automation, as namespace/name, or another program, as no automation is
	// called. It is written in the pull request.
	Owner string
	// Head is the branch that was pushed, and Base the one that it is to be merged into.
	Head, Base string
	// Commit is what Head ends with, in hexadecimal digits.
	Commit string
	// Title and Body describe it; see Describe. If Title is empty, a pull request that is
	// open stays as it is, and a new one gets DefaultTitle.
	Title, Body string
}

// DefaultTitle is that of a pull request of which nothing else is known.
const DefaultTitle = "Update images"

func (r Request) validate() error {
	for _, part := range []struct{ name, value string }{
		{"owner", r.Owner}, {"head branch", r.Head}, {"base branch", r.Base}, {"commit", r.Commit},
	} {
		if part.value == "" {
			return fmt.Errorf("%w: the %s of the pull request is empty", ErrInvalid, part.name)
		}
	}
	if r.Head == r.Base {
		return fmt.Errorf("%w: the branch %q cannot be merged into itself", ErrInvalid, r.Head)
	}
	return nil
}

// State of a pull request.
type State string

// States of a pull request.
const (
	None   State = ""       // there is none, and none is needed: the branch holds nothing that the other does not
	Open   State = "open"   // it waits for a person
	Closed State = "closed" // a person does not want this commit
	Merged State = "merged" // or about to be
)

// PullRequest is what there is after Ensure.
type PullRequest struct {
	URL              string // of its page, for people; may be empty
	Number           int64
	State            State
	Created, Updated bool // by this call
}

// Host opens pull requests of one repository.
type Host struct {
	api   api
	where Target
}

// api is what the hosts have in common.
type api interface {
	// list returns a page of the pull requests from the head of r into its base, of the
	// same repository, the newest first; more says whether there is another page.
	list(ctx context.Context, r Request, which filter, page int) (all []found, more bool, err error)
	// endOf returns the commit that a pull request ended with when it was closed or merged.
	endOf(ctx context.Context, f found) (string, error)
	create(ctx context.Context, r Request, w text) (found, error)
	update(ctx context.Context, number int64, c change) error
}

// filter is which pull requests are listed.
type filter int

const (
	whatever filter = iota
	onlyOpen
)

// found is a pull request that the host knows.
type found struct {
	number      int64
	title, body string
	state       State
	commit      string
	url         string
}

func (f found) result() PullRequest {
	return PullRequest{URL: presentable(f.url), Number: f.number, State: f.state}
}

// maxPages bounds a search in a repository of many pull requests. What is not found by
// then, the host finds when it is asked for another one.
const maxPages = 10

// New returns the host of a target, to be asked through transport, the idle connections
// of which are the caller's to close.
func New(t Target, a Access, transport http.RoundTripper) (*Host, error) {
	if a.Token.Empty() {
		return nil, fmt.Errorf("%w for %s", ErrNoToken, t)
	}
	c := newCaller(t, a, transport)
	switch t.kind {
	case GitHub:
		return &Host{api: github{c}, where: t}, nil
	case GitLab:
		return &Host{api: gitlab{c}, where: t}, nil
	case Gitea:
		return &Host{api: gitea{c}, where: t}, nil
	default:
		return nil, fmt.Errorf("%w: nothing is known of the host %q", ErrInvalid, t.kind)
	}
}

// Ensure sees to it that r is asked for, unless a person has answered already.
func (h *Host) Ensure(ctx context.Context, r Request) (PullRequest, error) {
	if err := r.validate(); err != nil {
		return PullRequest{}, err
	}
	pr, err := h.ensure(ctx, r)
	if err != nil {
		return PullRequest{}, fmt.Errorf("asking %s to merge %q into %q: %w", h.where, r.Head, r.Base, err)
	}
	return pr, nil
}

func (h *Host) ensure(ctx context.Context, r Request) (PullRequest, error) {
	w := compose(r, h.where.kind)
	known, ok, err := h.find(ctx, r, whatever)
	if err != nil {
		return PullRequest{}, err
	}
	if !ok {
		return h.open(ctx, r, w)
	}
	if known.state == Open {
		return h.amend(ctx, known, w)
	}
	answered, err := h.answers(ctx, known, r, w)
	switch {
	case err != nil:
		return PullRequest{}, err
	case answered:
		return known.result(), nil
	default:
		return h.open(ctx, r, w)
	}
}

// find returns the pull request that is open, or else the newest.
func (h *Host) find(ctx context.Context, r Request, which filter) (found, bool, error) {
	for page := 1; page <= maxPages; page++ {
		all, more, err := h.api.list(ctx, r, which, page)
		if err != nil {
			return found{}, false, err
		}
		if one, ok := pick(all); ok || !more {
			return one, ok, nil
		}
	}
	return found{}, false, nil
}

// answers reports whether a person has had the commit of r before them.
func (h *Host) answers(ctx context.Context, known found, r Request, w text) (bool, error) {
	if m, _ := split(known.body); m.owner == w.owner && m.commit == r.Commit {
		return true, nil
	}
	if known.commit != r.Commit {
		return false, nil
	}
	end, err := h.api.endOf(ctx, known)
	return end == r.Commit, err
}

// open opens a pull request. If it has been opened since we looked, that one serves.
func (h *Host) open(ctx context.Context, r Request, w text) (PullRequest, error) {
	made, err := h.api.create(ctx, r, w)
	switch {
	case err == nil:
		pr := made.result()
		pr.State, pr.Created = Open, true
		return pr, nil
	case errors.Is(err, errNothingToMerge):
		return PullRequest{State: None}, nil
	case !errors.Is(err, ErrRefused):
		return PullRequest{}, err
	}
	known, ok, again := h.find(ctx, r, onlyOpen)
	switch {
	case again != nil:
		return PullRequest{}, again
	case !ok:
		return PullRequest{}, err
	}
	return h.amend(ctx, known, w)
}

// amend describes a pull request anew, as far as it is ours.
func (h *Host) amend(ctx context.Context, known found, w text) (PullRequest, error) {
	pr := known.result()
	c := difference(known, w)
	if c.empty() {
		return pr, nil
	}
	if err := h.api.update(ctx, known.number, c); err != nil {
		return PullRequest{}, err
	}
	pr.Updated = true
	return pr, nil
}

// pick returns the pull request of all that counts: the one that is open, or else the
// first, which is the newest.
func pick(all []found) (found, bool) {
	for _, f := range all {
		if f.state == Open {
			return f, true
		}
	}
	if len(all) == 0 {
		return found{}, false
	}
	return all[0], true
}

// listed is what a host has in a list.
type listed interface {
	found() found
	of(r Request) bool
}

// among returns those of a list that are of a request.
func among[T listed](all []T, r Request) []found {
	var of []found
	for _, one := range all {
		if one.of(r) {
			of = append(of, one.found())
		}
	}
	return of
}

// numbered is the error of an answer that must have a number.
func numbered(number int64, err error) error {
	if err == nil && number < 1 {
		return fmt.Errorf("%w: it has no number of a pull request", ErrAnswer)
	}
	return err
}

// fields returns a change as an API takes it.
func fields(c change, body string) map[string]string {
	in := map[string]string{}
	if c.title != "" {
		in["title"] = c.title
	}
	if c.body != "" {
		in[body] = c.body
	}
	return in
}
