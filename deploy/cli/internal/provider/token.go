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
// does not have is replaced: has is the user name that it has. use gets the new token before
// the old ones go, so that there is always one that lets in; or nil, if the old one is good.
func (h *Host) EnsureToken(ctx context.Context, r Repository, name, has string, use func(*DeployToken) error) error {
	g, ok := h.api.(gitlab)
	if !ok {
		return ErrNoTokens
	}
	stale, good, err := g.compareTokens(ctx, r, name, has)
	if err != nil {
		return fmt.Errorf("reading the deploy tokens of %s: %w", h, err)
	}
	var made *DeployToken
	if !good {
		if made, err = g.createToken(ctx, r, name); err != nil {
			return fmt.Errorf("creating the deploy token %q of %s: %w", name, h, err)
		}
	}
	if err := use(made); err != nil {
		return err
	}
	for _, t := range stale {
		path := g.path(r) + "/deploy_tokens/" + strconv.FormatInt(t.ID, 10)
		if err := g.Do(ctx, http.MethodDelete, path, nil, nil, nil); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("removing the deploy token %q of %s: %w", name, h, err)
		}
	}
	return nil
}

// compareTokens looks for the tokens of a name.
func (g gitlab) compareTokens(ctx context.Context, r Repository, name, has string) (stale []gitlabToken, good bool, err error) {
	read := func(page int) (all []gitlabToken, err error) {
		err = g.Do(ctx, http.MethodGet, g.path(r)+"/deploy_tokens", paged(page), nil, &all)
		return all, err
	}
	err = each(read, func(t gitlabToken) {
		switch {
		case t.Name != name || t.Revoked:
		case t.Username == has && has != "" && !t.Expired:
			good = true
		default:
			stale = append(stale, t)
		}
	})
	return stale, good, err
}

func (g gitlab) createToken(ctx context.Context, r Repository, name string) (*DeployToken, error) {
	var made gitlabToken
	in := map[string]any{"name": name, "scopes": []string{"read_repository"}}
	if err := g.Do(ctx, http.MethodPost, g.path(r)+"/deploy_tokens", nil, in, &made); err != nil {
		return nil, err
	}
	if made.Username == "" || made.Token == "" {
		return nil, errors.New("the answer has no token")
	}
	return &DeployToken{Username: creds.Hide(made.Username), Token: creds.Hide(made.Token)}, nil
}
