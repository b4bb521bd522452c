package providertest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"weir.dev/pkg/pullrequest"
)

func gone() answer { return answer{status: http.StatusNoContent} }

func ok(body any) answer { return answer{http.StatusOK, body} }

func created(body any) answer { return answer{http.StatusCreated, body} }

// named runs do with the repository that a path of GitHub or Gitea names.
func (h *Host) named(do func(request, *Repository) answer) func(request) answer {
	return func(r request) answer {
		repo, there := h.all[r.PathValue("owner")+"/"+r.PathValue("name")]
		if !there {
			return missing()
		}
		return do(r, repo)
	}
}

// common are the routes that Gitea has from GitHub.
func (h *Host) common(add func(string, func(request) answer), show func(*Repository) any) {
	add("GET /user", func(request) answer { return ok(map[string]string{"login": h.User}) })
	add("GET /repos/{owner}/{name}", h.named(func(_ request, r *Repository) answer { return ok(show(r)) }))
	begin := func(owner string, in request) answer {
		visibility := "public"
		if in.flag("private") {
			visibility = "private"
		}
		r, why := h.create(owner+"/"+in.text("name"), visibility)
		if r == nil {
			return refused(why)
		}
		return created(show(r))
	}
	add("POST /user/repos", func(in request) answer { return begin(h.User, in) })
	add("POST /orgs/{org}/repos", func(in request) answer {
		if !h.hasGroup(in.PathValue("org")) {
			return missing()
		}
		return begin(in.PathValue("org"), in)
	})
	add("GET /repos/{owner}/{name}/keys", h.named(func(in request, r *Repository) answer {
		all := []any{}
		for _, k := range page(h, in, r.Keys) {
			all = append(all, showKey(k))
		}
		return ok(all)
	}))
	add("POST /repos/{owner}/{name}/keys", h.named(func(in request, r *Repository) answer {
		k, why := r.addKey(h, Key{Title: in.text("title"), Key: in.text("key"), Write: !in.flag("read_only")})
		if why != "" {
			return refused(why)
		}
		return created(showKey(k))
	}))
	add("DELETE /repos/{owner}/{name}/keys/{id}", h.named(func(in request, r *Repository) answer {
		if !r.deleteKey(in.PathValue("id")) {
			return missing()
		}
		return gone()
	}))
}

func showKey(k Key) any {
	return map[string]any{"id": k.ID, "title": k.Title, "key": k.Key, "read_only": !k.Write}
}

// page returns the page of a list that is asked for.
func page[T any](h *Host, in request, all []T) []T {
	name := "per_page"
	if h.Kind == pullrequest.Gitea {
		name = "limit"
	}
	size, _ := strconv.Atoi(in.URL.Query().Get(name))
	if h.PageSize > 0 {
		size = min(size, h.PageSize)
	}
	n, _ := strconv.Atoi(in.URL.Query().Get("page"))
	start := min((n-1)*size, len(all))
	return all[start:min(start+size, len(all))]
}

func (h *Host) github(add func(string, func(request) answer)) {
	show := func(r *Repository) any {
		return map[string]any{"visibility": r.Visibility, "private": r.Visibility != "public"}
	}
	h.common(add, show)
	add("PATCH /repos/{owner}/{name}", h.named(func(in request, r *Repository) answer {
		r.Visibility = in.text("visibility")
		return ok(show(r))
	}))
	team := func(do func(request, *Repository, string) answer) func(request) answer {
		return h.named(func(in request, r *Repository) answer {
			if !h.hasGroup(in.PathValue("team")) {
				return missing()
			}
			return do(in, r, in.PathValue("team"))
		})
	}
	add("GET /orgs/{org}/teams/{team}/repos/{owner}/{name}", team(func(_ request, r *Repository, name string) answer {
		if _, granted := r.Teams[name]; !granted {
			return missing()
		}
		return gone()
	}))
	add("PUT /orgs/{org}/teams/{team}/repos/{owner}/{name}", team(func(in request, r *Repository, name string) answer {
		r.Teams[name] = in.text("permission")
		return gone()
	}))
}

func (h *Host) gitea(add func(string, func(request) answer)) {
	show := func(r *Repository) any { return map[string]any{"private": r.Visibility != "public"} }
	h.common(add, show)
	add("PATCH /repos/{owner}/{name}", h.named(func(in request, r *Repository) answer {
		r.Visibility = "public"
		if in.flag("private") {
			r.Visibility = "private"
		}
		return ok(show(r))
	}))
	add("GET /repos/{owner}/{name}/teams/{team}", h.named(func(in request, r *Repository) answer {
		if _, granted := r.Teams[in.PathValue("team")]; !granted {
			return missing()
		}
		return ok(map[string]string{"name": in.PathValue("team")})
	}))
	add("PUT /repos/{owner}/{name}/teams/{team}", h.named(func(in request, r *Repository) answer {
		if !h.hasGroup(in.PathValue("team")) {
			return missing()
		}
		r.Teams[in.PathValue("team")] = ""
		return gone()
	}))
}

func (h *Host) gitlab(add func(string, func(request) answer)) {
	show := func(r *Repository) any {
		shared := []any{}
		for name, access := range r.Teams {
			level, _ := strconv.Atoi(access)
			shared = append(shared, map[string]any{"group_id": h.groupID(name), "group_access_level": level})
		}
		return map[string]any{"id": r.id, "visibility": r.Visibility, "shared_with_groups": shared}
	}
	project := func(do func(request, *Repository) answer) func(request) answer {
		return func(in request) answer {
			for path, r := range h.all {
				if id := in.PathValue("id"); id == path || id == fmt.Sprint(r.id) {
					return do(in, r)
				}
			}
			return missing()
		}
	}
	add("GET /user", func(request) answer { return ok(map[string]string{"username": h.User}) })
	add("GET /groups/{path}", func(in request) answer {
		if !h.hasGroup(in.PathValue("path")) {
			return missing()
		}
		return ok(map[string]any{"id": h.groupID(in.PathValue("path"))})
	})
	add("GET /projects/{id}", project(func(_ request, r *Repository) answer { return ok(show(r)) }))
	add("PUT /projects/{id}", project(func(in request, r *Repository) answer {
		r.Visibility = in.text("visibility")
		return ok(show(r))
	}))
	add("POST /projects", func(in request) answer {
		owner := h.User
		if id, given := in.body["namespace_id"].(float64); given {
			owner = h.Groups[int(id)-1]
		}
		r, why := h.create(owner+"/"+in.text("path"), in.text("visibility"))
		if r == nil {
			return answer{http.StatusBadRequest, said(why)}
		}
		return created(show(r))
	})
	add("POST /projects/{id}/share", project(func(in request, r *Repository) answer {
		id, _ := in.body["group_id"].(float64)
		level, _ := in.body["group_access"].(float64)
		name := h.Groups[int(id)-1]
		if _, shared := r.Teams[name]; shared {
			return answer{http.StatusConflict, said("already shared with this group")}
		}
		r.Teams[name] = fmt.Sprint(level)
		return created(map[string]string{})
	}))
	add("DELETE /projects/{id}/share/{group}", project(func(in request, r *Repository) answer {
		id, _ := strconv.Atoi(in.PathValue("group"))
		delete(r.Teams, h.Groups[id-1])
		return gone()
	}))
	h.gitlabAccess(add, project)
}

// gitlabAccess are the routes about deploy keys and tokens.
func (h *Host) gitlabAccess(add func(string, func(request) answer), project func(func(request, *Repository) answer) func(request) answer) {
	showKey := func(k Key) any {
		return map[string]any{"id": k.ID, "title": k.Title, "key": k.Key, "can_push": k.Write}
	}
	add("GET /projects/{id}/deploy_keys", project(func(in request, r *Repository) answer {
		all := []any{}
		for _, k := range page(h, in, r.Keys) {
			all = append(all, showKey(k))
		}
		return ok(all)
	}))
	add("POST /projects/{id}/deploy_keys", project(func(in request, r *Repository) answer {
		k, why := r.addKey(h, Key{Title: in.text("title"), Key: in.text("key"), Write: in.flag("can_push")})
		if why != "" {
			return answer{http.StatusBadRequest, said(why)}
		}
		return created(showKey(k))
	}))
	add("DELETE /projects/{id}/deploy_keys/{key}", project(func(in request, r *Repository) answer {
		if !r.deleteKey(in.PathValue("key")) {
			return missing()
		}
		return gone()
	}))
	add("GET /projects/{id}/deploy_tokens", project(func(in request, r *Repository) answer {
		all := []any{}
		for _, t := range page(h, in, r.Tokens) {
			all = append(all, map[string]any{"id": t.ID, "name": t.Name, "username": t.Username, "revoked": false, "expired": false})
		}
		return ok(all)
	}))
	add("POST /projects/{id}/deploy_tokens", project(func(in request, r *Repository) answer {
		h.next++
		t := Token{ID: h.next, Name: in.text("name"), Username: fmt.Sprintf("gitlab+deploy-token-%d", h.next), Token: fmt.Sprintf("gldt-%d", h.next)}
		r.Tokens = append(r.Tokens, t)
		return created(map[string]any{"id": t.ID, "name": t.Name, "username": t.Username, "token": t.Token})
	}))
	add("DELETE /projects/{id}/deploy_tokens/{token}", project(func(in request, r *Repository) answer {
		r.Tokens = slices.DeleteFunc(r.Tokens, func(t Token) bool { return fmt.Sprint(t.ID) == in.PathValue("token") })
		return gone()
	}))
}

// groupID is the place of a group among all, from 1.
func (h *Host) groupID(name string) int { return slices.Index(h.Groups, name) + 1 }
