package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
)

// github speaks the REST API of GitHub, version 3.
type github struct{ remote }

type githubRepository struct {
	Visibility string `json:"visibility"` // which old servers do not tell
	Private    bool   `json:"private"`
}

type githubKey struct {
	ID       int64  `json:"id,omitempty"`
	Title    string `json:"title"`
	Key      string `json:"key"`
	ReadOnly bool   `json:"read_only"`
}

func (g github) repository(got githubRepository) Repository {
	r := g.clone()
	r.Visibility = got.Visibility
	if r.Visibility == "" {
		r.Visibility = visibility(got.Private)
	}
	return r
}

func visibility(private bool) string {
	if private {
		return "private"
	}
	return "public"
}

func (g github) path() string {
	return "/repos/" + url.PathEscape(g.opts.Owner) + "/" + url.PathEscape(g.opts.Name)
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

func (g github) keys(ctx context.Context, _ Repository, page int) ([]Key, error) {
	var got []githubKey
	if err := g.Do(ctx, http.MethodGet, g.path()+"/keys", paged(page), nil, &got); err != nil {
		return nil, err
	}
	return keysOf(got), nil
}

// keysOf returns the keys of a list of GitHub or Gitea, which have one form.
func keysOf(got []githubKey) []Key {
	all := make([]Key, len(got))
	for i, k := range got {
		all[i] = Key{Name: k.Title, Public: k.Key, Write: !k.ReadOnly, id: k.ID}
	}
	return all
}

func (g github) addKey(ctx context.Context, _ Repository, k Key) error {
	return g.Do(ctx, http.MethodPost, g.path()+"/keys", nil, githubKey{Title: k.Name, Key: k.Public, ReadOnly: !k.Write}, nil)
}

func (g github) deleteKey(ctx context.Context, _ Repository, id int64) error {
	return g.Do(ctx, http.MethodDelete, g.path()+"/keys/"+strconv.FormatInt(id, 10), nil, nil, nil)
}
