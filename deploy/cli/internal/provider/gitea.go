package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// gitea speaks the API of Gitea and Forgejo, version 1.
type gitea struct{ repos }

type giteaRepository struct {
	Private bool `json:"private"`
}

func (g gitea) repository(got giteaRepository) Repository {
	r := g.clone()
	r.Visibility = visibility(got.Private)
	return r
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

// inTheWay holds of a key of the same name, too, which a repository has one of.
func (g gitea) inTheWay(there, k Key) bool { return g.repos.inTheWay(there, k) || there.Name == k.Name }
