package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"weir.dev/deploy/cli/internal/provider"
	"weir.dev/pkg/pullrequest"
)

// Host is where the repository is, and what is to be seen to there.
type Host struct {
	*provider.Host
	Settings provider.Settings
	// Reconcile has a repository that exists get the settings.
	Reconcile bool
	Teams     []provider.Team
	// WriteKey has the key of the cluster be one that may push.
	WriteKey bool
	// DeployToken has the cluster get in by a token of the repository.
	DeployToken bool
	// Transport is how the host is asked for pull requests; nil is one of its own.
	Transport http.RoundTripper

	found   provider.Repository
	missing bool // there is no repository yet
	settled bool // it is as it is to be
}

// find looks for the repository.
func (h *Host) find(ctx context.Context) error {
	var err error
	h.found, err = h.Find(ctx)
	if h.missing = errors.Is(err, provider.ErrNotFound); h.missing || err == nil {
		return nil
	}
	return h.explain(err)
}

// ensure sees to the repository and to who may use it. The error is errCreated if it has been
// created for that.
func (h *Host) ensure(ctx context.Context, o Options, tell Teller) error {
	if h.missing {
		h.Settings.Branch = o.Branch
		var err error
		if h.found, err = h.Create(ctx, h.Settings); err != nil {
			return h.explain(err)
		}
		h.missing = false
		tell.Done("repository %s created", h)
		return errCreated
	}
	if h.settled {
		return nil
	}
	if h.Reconcile {
		changed, err := h.Update(ctx, h.found, h.Settings)
		if err != nil {
			return h.explain(err)
		}
		if changed {
			tell.Done("repository %s is %s now", h, h.Settings.Visibility)
		}
	}
	for _, team := range h.Teams {
		changed, err := h.Grant(ctx, h.found, team)
		switch {
		case err != nil: // the cluster can do without
			tell.Warn("%v", err)
		case changed:
			tell.Done("%q has access to the repository: %s", team.Name, team.Permission)
		}
	}
	h.settled = true
	return nil
}

// explain says what to do about a host that does not do as it is asked.
func (h *Host) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pullrequest.ErrUnauthorized):
		return &Refusal{Reason: NoAccess, Why: err.Error(), Err: err,
			Next: fmt.Sprintf("make a new token and set it: export %s=<token>", TokenVariable(h.Kind()))}
	case errors.Is(err, pullrequest.ErrNotFound):
		return &Refusal{Reason: NoAccess, Why: err.Error(), Err: err,
			Next: "is there such an --owner, and is it an organisation or group? For a user: --personal"}
	default:
		return Unreachable(err)
	}
}

// TokenVariable is the variable of the environment that has the token of a kind of host.
func TokenVariable(kind pullrequest.Kind) string { return strings.ToUpper(string(kind)) + "_TOKEN" }

// token has the cluster get in by a token of the repository, which use gives to it: by a new
// one, unless the one that it has is good.
func (h *Host) token(ctx context.Context, o Options, secret map[string][]byte, login Login, use func(Login) error) error {
	has := ""
	if len(secret[keyPassword]) > 0 {
		has = string(secret[keyUsername])
	}
	var used error
	err := h.EnsureToken(ctx, h.found, o.KeyName(), has, func(made *provider.DeployToken) error {
		if made != nil {
			login.Username, login.Password = made.Username, made.Token
		}
		used = use(login)
		return used
	})
	if used != nil { // which says nothing of the host
		return used
	}
	return h.explain(err)
}

// admit gives the key of the cluster access, and the cluster the key, by use.
func (h *Host) admit(ctx context.Context, o Options, public string, tell Teller, use func() error) error {
	var used error
	key := provider.Key{Name: o.KeyName(), Public: public, Write: h.WriteKey}
	changed, err := h.EnsureKey(ctx, h.found, key, func() error {
		used = use()
		return used
	})
	switch {
	case used != nil: // which says nothing of the host
		return used
	case err != nil:
		return h.explain(err)
	case changed:
		tell.Done("deploy key %q added to %s", o.KeyName(), h)
	default:
		tell.Done("deploy key %q is up to date", o.KeyName())
	}
	return nil
}

// propose opens a pull request, unless there is one, and returns where it is.
func (h *Host) propose(ctx context.Context, o Options, made published) (string, error) {
	pulls, err := h.PullRequests(h.found, h.Transport)
	if err != nil {
		return "", err
	}
	var files []string
	for _, e := range made.plan.Edits {
		files = append(files, "- `"+e.Path+"`")
	}
	pr, err := pulls.Ensure(ctx, pullrequest.Request{
		Owner: "bootstrap:" + o.Install.Namespace, // which no automation is called
		Head:  o.PullRequest, Base: o.Branch, Commit: made.commit.String(),
		Title: title(made.plan.Message),
		Body:  "The cluster that runs from `" + o.syncPath() + "` will be as these files say:\n\n" + strings.Join(files, "\n"),
	})
	switch {
	case err != nil:
		return "", h.explain(err)
	case pr.State == pullrequest.Closed:
		return "", refuse(PushRefused, "the pull request %s was closed without being merged", pr.URL).
			next("open it again, or delete the branch %q and run the same command again", o.PullRequest)
	case pr.URL == "":
		return fmt.Sprintf("number %d of %s", pr.Number, h), nil
	}
	return pr.URL, nil
}
