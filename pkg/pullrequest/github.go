package pullrequest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// github speaks the REST API of GitHub, version 3.
type github struct{ caller }

// githubPage is how many pull requests are asked for at once. Each takes some 20 kB, and
// rarely more than a few are of the same two branches.
const githubPage = 10

type githubPull struct {
	Number   int64        `json:"number"`
	Title    string       `json:"title"`
	Body     string       `json:"body"`
	State    string       `json:"state"`
	MergedAt *time.Time   `json:"merged_at"`
	HTMLURL  string       `json:"html_url"`
	Head     githubBranch `json:"head"`
	Base     githubBranch `json:"base"`
}

type githubBranch struct {
	Ref  string `json:"ref"`
	SHA  string `json:"sha"`
	Repo *struct {
		ID int64 `json:"id"`
	} `json:"repo"` // nil if it was deleted
}

func (p githubPull) found() found {
	f := found{number: p.Number, title: p.Title, body: p.Body, commit: p.Head.SHA, url: p.HTMLURL, state: Closed}
	switch {
	case p.MergedAt != nil:
		f.state = Merged
	case p.State == "open":
		f.state = Open
	}
	return f
}

// of reports whether p is from the head of r into its base, and from no fork.
func (p githubPull) of(r Request) bool {
	return p.Head.Ref == r.Head && p.Base.Ref == r.Base &&
		p.Head.Repo != nil && p.Base.Repo != nil && p.Head.Repo.ID == p.Base.Repo.ID
}

func (g github) path() string { return "/repos/" + g.target.escaped() + "/pulls" }

func (g github) list(ctx context.Context, r Request, which filter, page int) ([]found, bool, error) {
	query := url.Values{
		"head": {g.target.owner() + ":" + r.Head}, "base": {r.Base}, "state": {"all"},
		"sort": {"created"}, "direction": {"desc"},
		"per_page": {strconv.Itoa(githubPage)}, "page": {strconv.Itoa(page)},
	}
	if which == onlyOpen {
		query.Set("state", "open")
	}
	var pulls []githubPull
	if err := g.do(ctx, http.MethodGet, g.path(), query, nil, &pulls); err != nil {
		return nil, false, err
	}
	return among(pulls, r), len(pulls) >= githubPage, nil
}

func (g github) endOf(_ context.Context, f found) (string, error) { return f.commit, nil }

func (g github) create(ctx context.Context, r Request, w text) (found, error) {
	in := map[string]string{"title": w.title, "body": w.marked(), "head": r.Head, "base": r.Base}
	var made githubPull
	err := g.do(ctx, http.MethodPost, g.path(), nil, in, &made)
	var answer *answerError
	if errors.As(err, &answer) && answer.status == http.StatusUnprocessableEntity && strings.Contains(answer.words, "No commits between") {
		return found{}, fmt.Errorf("%w: %w", errNothingToMerge, err) // for which the API has no other sign
	}
	return made.found(), numbered(made.Number, err)
}

func (g github) update(ctx context.Context, number int64, c change) error {
	return g.do(ctx, http.MethodPatch, g.path()+"/"+strconv.FormatInt(number, 10), nil, fields(c, "body"), new(githubPull))
}
