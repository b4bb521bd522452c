package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// gitlab speaks the API of GitLab, version 4.
type gitlab struct{ remote }

type gitlabProject struct {
	ID         int64  `json:"id"`
	Visibility string `json:"visibility"`
	Shared     []struct {
		ID     int64 `json:"group_id"`
		Access int   `json:"group_access_level"`
	} `json:"shared_with_groups"`
}

type gitlabKey struct {
	ID      int64  `json:"id,omitempty"`
	Title   string `json:"title"`
	Key     string `json:"key"`
	CanPush bool   `json:"can_push"`
}

type gitlabToken struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Username string `json:"username"`
	Token    string `json:"token"`
	Revoked  bool   `json:"revoked"`
	Expired  bool   `json:"expired"`
}

func (g gitlab) repository(got gitlabProject) Repository {
	r := g.clone()
	r.Visibility, r.id = got.Visibility, got.ID
	return r
}

func (g gitlab) get(ctx context.Context) (gitlabProject, error) {
	var got gitlabProject
	err := g.Do(ctx, http.MethodGet, "/projects/"+url.PathEscape(g.opts.Owner+"/"+g.opts.Name), nil, nil, &got)
	return got, err
}

func (g gitlab) find(ctx context.Context) (Repository, error) {
	got, err := g.get(ctx)
	if err != nil {
		return Repository{}, err
	}
	return g.repository(got), nil
}

func (g gitlab) create(ctx context.Context, s Settings) (Repository, error) {
	in := map[string]any{"name": g.opts.Name, "path": g.opts.Name, "visibility": s.Visibility, "default_branch": s.Branch, "initialize_with_readme": false}
	if g.opts.Personal {
		if err := g.mustBeOwner(ctx); err != nil {
			return Repository{}, err
		}
	} else {
		id, err := g.group(ctx, g.opts.Owner)
		if err != nil {
			return Repository{}, err
		}
		in["namespace_id"] = id
	}
	var got gitlabProject
	if err := g.Do(ctx, http.MethodPost, "/projects", nil, in, &got); err != nil {
		return Repository{}, err
	}
	return g.repository(got), nil
}

// group returns the id of a group by its path.
func (g gitlab) group(ctx context.Context, path string) (int64, error) {
	var group struct {
		ID int64 `json:"id"`
	}
	if err := g.Do(ctx, http.MethodGet, "/groups/"+url.PathEscape(path), url.Values{"with_projects": {"false"}}, nil, &group); err != nil {
		return 0, fmt.Errorf("group %q: %w", path, err)
	}
	return group.ID, nil
}

func (g gitlab) path(r Repository) string { return "/projects/" + strconv.FormatInt(r.id, 10) }

func (g gitlab) update(ctx context.Context, r Repository, s Settings) error {
	return g.Do(ctx, http.MethodPut, g.path(r), nil, map[string]string{"visibility": s.Visibility}, nil)
}

// gitlabAccess are the levels of access by their names.
var gitlabAccess = map[string]int{
	"guest": 10, "reporter": 20, "developer": 30, "maintain": 40, "maintainer": 40, "owner": 50,
	"pull": 20, "push": 30, "admin": 50, // as others call them
}

// grant shares the project with a group.
func (g gitlab) grant(ctx context.Context, r Repository, t Team) (bool, error) {
	level, known := gitlabAccess[t.Permission]
	if !known {
		return false, fmt.Errorf("GitLab has no permission %q: use guest, reporter, developer, maintain or owner", t.Permission)
	}
	id, err := g.group(ctx, t.Name)
	if err != nil {
		return false, err
	}
	project, err := g.get(ctx)
	if err != nil {
		return false, err
	}
	for _, share := range project.Shared {
		switch {
		case share.ID != id:
		case share.Access == level:
			return false, nil
		default:
			path := g.path(r) + "/share/" + strconv.FormatInt(id, 10)
			if err := g.Do(ctx, http.MethodDelete, path, nil, nil, nil); err != nil && !errors.Is(err, ErrNotFound) {
				return false, err
			}
		}
	}
	return true, g.Do(ctx, http.MethodPost, g.path(r)+"/share", nil, map[string]int64{"group_id": id, "group_access": int64(level)}, nil)
}

func (g gitlab) keys(ctx context.Context, r Repository, page int) ([]Key, error) {
	var got []gitlabKey
	if err := g.Do(ctx, http.MethodGet, g.path(r)+"/deploy_keys", paged(page), nil, &got); err != nil {
		return nil, err
	}
	all := make([]Key, len(got))
	for i, k := range got {
		all[i] = Key{Name: k.Title, Public: k.Key, Write: k.CanPush, id: k.ID}
	}
	return all, nil
}

func (g gitlab) addKey(ctx context.Context, r Repository, k Key) error {
	return g.Do(ctx, http.MethodPost, g.path(r)+"/deploy_keys", nil, gitlabKey{Title: k.Name, Key: k.Public, CanPush: k.Write}, nil)
}

func (g gitlab) deleteKey(ctx context.Context, r Repository, id int64) error {
	return g.Do(ctx, http.MethodDelete, g.path(r)+"/deploy_keys/"+strconv.FormatInt(id, 10), nil, nil, nil)
}

// inTheWay holds of the same key: a project takes it once.
func (g gitlab) inTheWay(there, k Key) bool { return there.same(k) }
