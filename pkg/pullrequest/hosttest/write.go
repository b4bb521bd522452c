package hosttest

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
)

const maxRequest = 1 << 20

// sent is the body of a request, whatever the host calls what is in it.
type sent struct {
	Title        *string `json:"title"`
	Body         *string `json:"body"`
	Description  *string `json:"description"`
	Head         string  `json:"head"`
	Base         string  `json:"base"`
	SourceBranch string  `json:"source_branch"`
	TargetBranch string  `json:"target_branch"`
}

func (h *Host) read(w http.ResponseWriter, req *http.Request) (sent, bool) {
	var in sent
	if err := json.NewDecoder(io.LimitReader(req.Body, maxRequest)).Decode(&in); err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"message": "Problems parsing JSON"})
		return sent{}, false
	}
	if h.opts.Kind == GitLab {
		in.Head, in.Base, in.Body = in.SourceBranch, in.TargetBranch, in.Description
	}
	return in, true
}

func (h *Host) serveCreate(w http.ResponseWriter, req *http.Request) {
	in, ok := h.read(w, req)
	if !ok {
		return
	}
	if in.Title == nil || *in.Title == "" || h.endOf(in.Head) == "" || in.Head == in.Base {
		h.refuse(w, http.StatusUnprocessableEntity, "the title is missing, or the head is no branch")
		return
	}
	for _, p := range h.all {
		if p.State == Open && !p.Fork && p.Head == in.Head && p.Base == in.Base {
			h.refuseAnother(w, p)
			return
		}
	}
	if h.opts.Kind == GitHub && h.endOf(in.Head) == h.endOf(in.Base) {
		h.refuse(w, http.StatusUnprocessableEntity, "No commits between "+in.Base+" and "+in.Head)
		return
	}
	p := PullRequest{Title: *in.Title, Head: in.Head, Base: in.Base}
	if in.Body != nil {
		p.Body = *in.Body
	}
	answer(w, http.StatusCreated, h.render(h.add(p)))
}

// refuseAnother says that p is there already, as each host says it.
func (h *Host) refuseAnother(w http.ResponseWriter, p *PullRequest) {
	number := strconv.FormatInt(p.Number, 10)
	switch h.opts.Kind {
	case GitHub:
		h.refuse(w, http.StatusUnprocessableEntity, "A pull request already exists for "+h.owner(p)+":"+p.Head+".")
	case GitLab:
		h.refuse(w, http.StatusConflict, "Another open merge request already exists for this source branch: !"+number)
	default:
		h.refuse(w, http.StatusConflict, "pull request already exists for these targets [id: "+number+"]")
	}
}

// refuse answers with a complaint in the form of the host.
func (h *Host) refuse(w http.ResponseWriter, status int, complaint string) {
	switch h.opts.Kind {
	case GitHub:
		answer(w, status, map[string]any{
			"message": "Validation Failed",
			"errors":  []any{map[string]any{"resource": "PullRequest", "code": "custom", "message": complaint}},
		})
	case GitLab:
		answer(w, status, map[string]any{"message": []any{complaint}})
	default:
		answer(w, status, map[string]any{"message": complaint})
	}
}

func (h *Host) serveUpdate(w http.ResponseWriter, req *http.Request, name string) {
	number, err := strconv.ParseInt(name, 10, 64)
	p := h.find(number)
	if err != nil || p == nil {
		answer(w, http.StatusNotFound, map[string]any{"message": "Not Found"})
		return
	}
	in, ok := h.read(w, req)
	if !ok {
		return
	}
	if in.Title != nil {
		p.Title = *in.Title
	}
	if in.Body != nil {
		p.Body = *in.Body
	}
	h.touch(p)
	status := http.StatusOK
	if h.opts.Kind == Gitea {
		status = http.StatusCreated
	}
	answer(w, status, h.render(p))
}

// render returns p as the host shows it.
func (h *Host) render(p *PullRequest) any {
	page := h.url + h.opts.Below + "/" + h.opts.Project + "/pulls/" + strconv.FormatInt(p.Number, 10)
	repo := 1
	if p.Fork {
		repo = 2
	}
	switch h.opts.Kind {
	case GitLab:
		state := map[string]string{Open: "opened", Closed: "closed", Merged: "merged"}[p.State]
		return map[string]any{
			"id": p.Number + 1000, "iid": p.Number, "title": p.Title, "description": p.Body, "state": state,
			"source_branch": p.Head, "target_branch": p.Base, "source_project_id": repo, "target_project_id": 1,
			"sha": h.commitOf(p), "web_url": page,
		}
	case GitHub:
		shown := map[string]any{
			"id": p.Number + 1000, "number": p.Number, "title": p.Title, "body": p.Body, "state": stateOf(p),
			"html_url": page, "merged_at": nil,
			"head": map[string]any{"label": h.owner(p) + ":" + p.Head, "ref": p.Head, "sha": h.commitOf(p), "repo": map[string]any{"id": repo}},
			"base": map[string]any{"ref": p.Base, "sha": h.endOf(p.Base), "repo": map[string]any{"id": 1}},
		}
		if p.State == Merged {
			shown["merged_at"] = "2026-01-02T03:04:05Z"
		}
		return shown
	default:
		return h.renderGitea(p, page, repo)
	}
}

// renderGitea shows what the branch ends with now, however long ago p was closed, and a
// ref of p in place of a branch that is no more.
func (h *Host) renderGitea(p *PullRequest, page string, repo int) any {
	ref, sha := p.Head, h.endOf(p.Head)
	if p.Fork || sha == "" {
		ref, sha = "refs/pull/"+strconv.FormatInt(p.Number, 10)+"/head", h.commitOf(p)
	}
	return map[string]any{
		"id": p.Number + 1000, "number": p.Number, "title": p.Title, "body": p.Body, "state": stateOf(p),
		"html_url": page, "merged": p.State == Merged,
		"head": map[string]any{"label": p.Head, "ref": ref, "sha": sha, "repo_id": repo},
		"base": map[string]any{"label": p.Base, "ref": p.Base, "sha": h.endOf(p.Base), "repo_id": 1},
	}
}

// stateOf is the state where that of merging is another matter.
func stateOf(p *PullRequest) string {
	if p.State == Open {
		return Open
	}
	return Closed
}
