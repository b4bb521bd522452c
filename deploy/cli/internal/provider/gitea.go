package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// gitea speaks the API of Gitea and Forgejo, version 1.
type gitea struct{ remote }

type giteaRepository struct {
	Private bool `json:"private"`
}

func (g gitea) repository(got giteaRepository) Repository {
	r := g.clone()
	r.Visibility = visibility(got.Private)
	return r
}

func (g gitea) path() string {
	return "/repos/" + url.PathEscape(g.opts.Owner) + "/" + url.PathEscape(g.opts.Name)
}

func (g gitea) find(ctx context.Context) (Repository, error) {
	var got giteaRepository
	if err := g.Do(ctx, http.MethodGet, g.path(), nil, nil, &got); err != nil {
		return Repository{}, err
	}
	return g.repository(got), nil
}

func (g gitea) create(ctx context.Context, s Settings) (Repository, error) {
	path := "/orgs/" + url.PathEscape(g.opts.Owner) + "/repos"
	if g.opts.Personal {
		if err := g.mustBeOwner(ctx); err != nil {
			return Repository{}, err
		}
		path = "/user/repos"
	}
	in := map[string]any{"name": g.opts.Name, "private": s.Visibility != "public", "auto_init": false, "default_branch": s.Branch}
	var got giteaRepository
	if err := g.Do(ctx, http.MethodPost, path, nil, in, &got); err != nil {
		return Repository{}, err
	}
	return g.repository(got), nil
}

func (g gitea) update(ctx context.Context, _ Repository, s Settings) error {
	return g.Do(ctx, http.MethodPatch, g.path(), nil, map[string]bool{"private": s.Visibility != "public"}, nil)
}

// grant adds the repository to a team. What its members may do there is the team's.
func (g gitea) grant(ctx context.Context, _ Repository, t Team) (bool, error) {
	if g.opts.Personal {
		return false, errors.New("a personal repository has no teams")
	}
	path := g.path() + "/teams/" + url.PathEscape(t.Name)
	switch err := g.Do(ctx, http.MethodGet, path, nil, nil, nil); {
	case err == nil:
		return false, nil
	case !errors.Is(err, ErrNotFound):
		return false, err
	}
	return true, g.Do(ctx, http.MethodPut, path, nil, nil, nil)
}

func (g gitea) keys(ctx context.Context, _ Repository, page int) ([]Key, error) {
	const most = 50 // which is what servers allow
	var all []Key
	for _, p := range []int{2*page - 1, 2 * page} {
		var got []githubKey
		query := url.Values{"limit": {fmt.Sprint(most)}, "page": {strconv.Itoa(p)}}
		if err := g.Do(ctx, http.MethodGet, g.path()+"/keys", query, nil, &got); err != nil {
			return nil, err
		}
		all = append(all, keysOf(got)...)
		if len(got) < most {
			break
		}
	}
	return all, nil
}

func (g gitea) addKey(ctx context.Context, _ Repository, k Key) error {
	return g.Do(ctx, http.MethodPost, g.path()+"/keys", nil, githubKey{Title: k.Name, Key: k.Public, ReadOnly: !k.Write}, nil)
}

func (g gitea) deleteKey(ctx context.Context, _ Repository, id int64) error {
	return g.Do(ctx, http.MethodDelete, g.path()+"/keys/"+strconv.FormatInt(id, 10), nil, nil, nil)
}
