package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"weir.dev/pkg/creds"
)

// ErrNoTokens: the host has no tokens of a single repository.
var ErrNoTokens = errors.New("only GitLab has deploy tokens")

// DeployToken lets whoever has it read one repository over https.
type DeployToken struct{ Username, Token creds.Hidden }

// EnsureToken sees to it that there is a deploy token of a name, of which a cluster has the
// user name and the token. A host tells a token once only, so that one which the cluster
// does not have is replaced: has is the user name that it has. If that one is good, the
// result is nil.
func (h *Host) EnsureToken(ctx context.Context, r Repository, name, has string) (*DeployToken, error) {
	g, ok := h.api.(gitlab)
	if !ok {
		return nil, ErrNoTokens
	}
	stale, good, err := g.compareTokens(ctx, r, name, has)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the deploy tokens of %s: %w", h, err)
	case good:
		return nil, nil
	}
	for _, t := range stale {
		path := g.path(r) + "/deploy_tokens/" + strconv.FormatInt(t.ID, 10)
		if err := g.Do(ctx, http.MethodDelete, path, nil, nil, nil); err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("removing the deploy token %q of %s: %w", name, h, err)
		}
	}
	var made gitlabToken
	in := map[string]any{"name": name, "scopes": []string{"read_repository"}}
	if err := g.Do(ctx, http.MethodPost, g.path(r)+"/deploy_tokens", nil, in, &made); err != nil {
		return nil, fmt.Errorf("creating the deploy token %q of %s: %w", name, h, err)
	}
	if made.Username == "" || made.Token == "" {
		return nil, fmt.Errorf("creating the deploy token %q of %s: the answer has no token", name, h)
	}
	return &DeployToken{Username: creds.Hide(made.Username), Token: creds.Hide(made.Token)}, nil
}

// compareTokens looks for the tokens of a name.
func (g gitlab) compareTokens(ctx context.Context, r Repository, name, has string) (stale []gitlabToken, good bool, err error) {
	for page := 1; page <= maxPages; page++ {
		var all []gitlabToken
		if err := g.Do(ctx, http.MethodGet, g.path(r)+"/deploy_tokens", paged(page), nil, &all); err != nil {
			return nil, false, err
		}
		for _, t := range all {
			switch {
			case t.Name != name || t.Revoked:
			case t.Username == has && has != "" && !t.Expired:
				good = true
			default:
				stale = append(stale, t)
			}
		}
		if len(all) < pageSize {
			break
		}
	}
	return stale, good, nil
}
