package pullrequest

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// gitlab speaks the REST API of GitLab, version 4.
type gitlab struct{ caller }

// gitlabPage is how many merge requests are asked for at once. Those of forks are among
// them, which anybody may open from a branch of the same name.
const gitlabPage = 50

type gitlabMerge struct {
	IID         int64  `json:"iid"`
	Title       string `json:"title"`
	Description string `json:"description"`
	State       string `json:"state"`
	SHA         string `json:"sha"`
	WebURL      string `json:"web_url"`
	Source      string `json:"source_branch"`
	Target      string `json:"target_branch"`
	SourceID    int64  `json:"source_project_id"`
	TargetID    int64  `json:"target_project_id"`
}

func (m gitlabMerge) found() found {
	f := found{number: m.IID, title: m.Title, body: m.Description, commit: m.SHA, url: m.WebURL, state: Closed}
	switch m.State {
	case "opened":
		f.state = Open
	case "merged", "locked": // which it is while it is merged
		f.state = Merged
	}
	return f
}

// of reports whether m is from the head of r into its base, and from no fork.
func (m gitlabMerge) of(r Request) bool {
	return m.Source == r.Head && m.Target == r.Base && m.SourceID == m.TargetID
}

// path has the whole path of the project as one name.
func (g gitlab) path() string {
	return "/projects/" + url.PathEscape(strings.Join(g.target.project, "/")) + "/merge_requests"
}

func (g gitlab) list(ctx context.Context, r Request, which filter, page int) ([]found, bool, error) {
	query := url.Values{
		"source_branch": {r.Head}, "target_branch": {r.Base}, "state": {"all"},
		"order_by": {"created_at"}, "sort": {"desc"},
		"per_page": {strconv.Itoa(gitlabPage)}, "page": {strconv.Itoa(page)},
	}
	if which == onlyOpen {
		query.Set("state", "opened")
	}
	var merges []gitlabMerge
	if err := g.do(ctx, http.MethodGet, g.path(), query, nil, &merges); err != nil {
		return nil, false, err
	}
	return among(merges, r), len(merges) >= gitlabPage, nil
}

func (g gitlab) endOf(_ context.Context, f found) (string, error) { return f.commit, nil }

func (g gitlab) create(ctx context.Context, r Request, w text) (found, error) {
	in := map[string]string{"title": w.title, "description": w.marked(), "source_branch": r.Head, "target_branch": r.Base}
	var made gitlabMerge
	err := g.do(ctx, http.MethodPost, g.path(), nil, in, &made)
	return made.found(), numbered(made.IID, err)
}

func (g gitlab) update(ctx context.Context, number int64, c change) error {
	return g.do(ctx, http.MethodPut, g.path()+"/"+strconv.FormatInt(number, 10), nil, fields(c, "description"), new(gitlabMerge))
}
