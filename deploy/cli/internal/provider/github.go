package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// github speaks the REST API of GitHub, version 3.
type github struct{ repos }

type githubRepository struct {
	Visibility string `json:"visibility"` // which old servers do not tell
	Private    bool   `json:"private"`
}

func (g github) repository(got githubRepository) Repository {
	r := g.clone()
	r.Visibility = got.Visibility
	if r.Visibility == "" {
		r.Visibility = visibility(got.Private)
	}
	return r
}

func (g github) find(ctx context.Context) (Repository, error) {
	var got githubRepository
	if err := g.Do(ctx, http.MethodGet, g.path(), nil, nil, &got); err != nil {
		return Repository{}, err
	}
	return g.repository(got), nil
}

func (g github) create(ctx context.Context, s Settings) (Repository, error) {
	path := "/orgs/" + url.PathEscape(g.opts.Owner) + "/repos"
	if g.opts.Personal {
		if err := g.mustBeOwner(ctx); err != nil {
			return Repository{}, err
		}
		path = "/user/repos"
	}
	in := map[string]any{"name": g.opts.Name, "private": s.Visibility != "public", "auto_init": false}
	if s.Visibility == "internal" {
		in["visibility"] = s.Visibility
	}
	var got githubRepository
	if err := g.Do(ctx, http.MethodPost, path, nil, in, &got); err != nil {
		return Repository{}, err
	}
	return g.repository(got), nil
}

func (g github) update(ctx context.Context, _ Repository, s Settings) error {
	return g.Do(ctx, http.MethodPatch, g.path(), nil, map[string]any{"visibility": s.Visibility}, nil)
}

func (g github) grant(ctx context.Context, _ Repository, t Team) (bool, error) {
	if g.opts.Personal {
		return false, errors.New("a personal repository has no teams")
	}
	path := "/orgs/" + url.PathEscape(g.opts.Owner) + "/teams/" + url.PathEscape(t.Name) + g.path()
	// Whether the team has access is told without a body, so that the permission is not: one
	// that is there is set again, which changes nothing.
	err := g.Do(ctx, http.MethodGet, path, nil, nil, nil)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	there := err == nil
	return !there, g.Do(ctx, http.MethodPut, path, nil, map[string]string{"permission": t.Permission}, nil)
}
