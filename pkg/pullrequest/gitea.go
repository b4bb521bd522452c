package pullrequest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// gitea speaks the REST API of Gitea and Forgejo, version 1.
type gitea struct{ caller }

// giteaPage is the most that is given at once, unless an administrator says otherwise.
// The list is that of the whole repository: there is no filter by the head, and one by
// the base in newer versions only. So it is by the time of the last change.
const giteaPage = 50

type giteaPull struct {
	Number  int64       `json:"number"`
	Title   string      `json:"title"`
	Body    string      `json:"body"`
	State   string      `json:"state"`
	Merged  bool        `json:"merged"`
	HTMLURL string      `json:"html_url"`
	Head    giteaBranch `json:"head"`
	Base    giteaBranch `json:"base"`
}

type giteaBranch struct {
	Label  string `json:"label"` // the branch, also when it was deleted
	SHA    string `json:"sha"`   // of the branch as it is now, also when the pull request was closed before
	RepoID int64  `json:"repo_id"`
}

func (p giteaPull) found() found {
	f := found{number: p.Number, title: p.Title, body: p.Body, commit: p.Head.SHA, url: p.HTMLURL, state: Closed}
	switch {
	case p.Merged:
		f.state = Merged
	case p.State == "open":
		f.state = Open
	}
	return f
}

// of reports whether p is from the head of r into its base, and from no fork.
func (p giteaPull) of(r Request) bool {
	return p.Head.Label == r.Head && p.Base.Label == r.Base && p.Head.RepoID == p.Base.RepoID
}

func (g gitea) repository() string { return "/repos/" + g.target.escaped() }

func (g gitea) path() string { return g.repository() + "/pulls" }

func (g gitea) list(ctx context.Context, r Request, which filter, page int) ([]found, bool, error) {
	query := url.Values{
		"state": {"all"}, "sort": {"recentupdate"}, "base_branch": {r.Base},
		"limit": {strconv.Itoa(giteaPage)}, "page": {strconv.Itoa(page)},
	}
	if which == onlyOpen {
		query.Set("state", "open")
	}
	var pulls []giteaPull
	if err := g.do(ctx, http.MethodGet, g.path(), query, nil, &pulls); err != nil {
		return nil, false, err
	}
	return among(pulls, r), len(pulls) > 0, nil // an administrator may have made pages smaller
}

// endOf asks for the ref that Gitea keeps of each pull request, and does not move once
// it is closed.
func (g gitea) endOf(ctx context.Context, f found) (string, error) {
	name := fmt.Sprintf("pull/%d/head", f.number)
	var answer json.RawMessage
	if err := g.do(ctx, http.MethodGet, g.repository()+"/git/refs/"+name, nil, nil, &answer); err != nil {
		return "", fmt.Errorf("reading what pull request %d ended with: %w", f.number, err)
	}
	type ref struct {
		Ref    string `json:"ref"`
		Object struct {
			SHA string `json:"sha"`
		} `json:"object"`
	}
	var all []ref
	if json.Unmarshal(answer, &all) != nil {
		all = make([]ref, 1) // some versions give one that is alone as it is
		if json.Unmarshal(answer, &all[0]) != nil {
			return "", fmt.Errorf("%w: it is no ref", ErrAnswer)
		}
	}
	for _, one := range all {
		if one.Ref == "refs/"+name {
			return one.Object.SHA, nil
		}
	}
	return "", fmt.Errorf("%w: it has no ref %s", ErrAnswer, name)
}

func (g gitea) create(ctx context.Context, r Request, w text) (found, error) {
	in := map[string]string{"title": w.title, "body": w.marked(), "head": r.Head, "base": r.Base}
	var made giteaPull
	err := g.do(ctx, http.MethodPost, g.path(), nil, in, &made)
	return made.found(), numbered(made.Number, err)
}

func (g gitea) update(ctx context.Context, number int64, c change) error {
	return g.do(ctx, http.MethodPatch, g.path()+"/"+strconv.FormatInt(number, 10), nil, fields(c, "body"), new(giteaPull))
}
