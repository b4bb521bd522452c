package provider

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// repos is what GitHub and Gitea have alike: the paths of a repository, and its keys.
type repos struct{ remote }

// reposKey is a deploy key.
type reposKey struct {
	ID       int64  `json:"id,omitempty"`
	Title    string `json:"title"`
	Key      string `json:"key"`
	ReadOnly bool   `json:"read_only"`
}

func (a repos) path() string {
	return "/repos/" + url.PathEscape(a.opts.Owner) + "/" + url.PathEscape(a.opts.Name)
}

func (a repos) keys(ctx context.Context, _ Repository, page int) ([]Key, error) {
	query := paged(page)
	query.Set("limit", query.Get("per_page")) // as Gitea calls it
	var got []reposKey
	if err := a.Do(ctx, http.MethodGet, a.path()+"/keys", query, nil, &got); err != nil {
		return nil, err
	}
	all := make([]Key, len(got))
	for i, k := range got {
		all[i] = Key{Name: k.Title, Public: k.Key, Write: !k.ReadOnly, id: k.ID}
	}
	return all, nil
}

func (a repos) addKey(ctx context.Context, _ Repository, k Key) error {
	return a.Do(ctx, http.MethodPost, a.path()+"/keys", nil, reposKey{Title: k.Name, Key: k.Public, ReadOnly: !k.Write}, nil)
}

func (a repos) deleteKey(ctx context.Context, _ Repository, id int64) error {
	return a.Do(ctx, http.MethodDelete, a.path()+"/keys/"+strconv.FormatInt(id, 10), nil, nil, nil)
}

// inTheWay holds of the same key: a repository takes it once.
func (a repos) inTheWay(there, k Key) bool { return there.same(k) }

func visibility(private bool) string {
	if private {
		return "private"
	}
	return "public"
}
