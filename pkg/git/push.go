package git

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

var (
	// ErrMoved: a ref of the remote is not where it was seen any more. Nothing of the
	// push that saw it there has been done to that ref.
	ErrMoved = errors.New("the ref has moved meanwhile")
	// ErrRefused: a hook or a rule of the remote refuses the push.
	ErrRefused = errors.New("the push is refused")
	// ErrNoPushOptions: the remote takes no push options, and there are some.
	ErrNoPushOptions = errors.New("the remote takes no push options")
)

// RefUpdate moves a ref of a remote, if it is where it was seen.
type RefUpdate struct {
	Name plumbing.ReferenceName
	// Old is where the ref was seen; the zero hash is nowhere. It need not be the parent
	// of New: whoever says so loses what is on top of it.
	Old plumbing.Hash
	// New is where the ref shall be: the draft, or a commit that the remote has.
	New plumbing.Hash
}

// PushOptions are what else a push tells a remote.
type PushOptions struct {
	// Options are the push options of git, which the remote hands to its hooks.
	Options map[string]string
}

// Push sends a draft to a remote and moves refs. It sends the new objects and nothing
// else, in one request after the one that asks for the refs; d is nil if the remote has
// all that is needed. Several refs move together where the remote can do that.
//
// It succeeds if all refs are where they shall be, even if they were there before,
// or if the remote's answer gets lost. The error is ErrMoved if one is not where it was
// seen, and ErrRefused, with the remote's words, if the remote does not want the push.
func (c *Client) Push(ctx context.Context, r *Remote, d *Draft, updates []RefUpdate, o PushOptions) error {
	if err := checkUpdates(updates); err != nil {
		return err
	}
	options, err := o.lines()
	if err != nil {
		return err
	}
	to, err := c.dialReceiver(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = to.close() }() // the answer says what became of the push
	left, err := to.compare(updates)
	if err != nil || len(left) == 0 {
		return err
	}
	err = to.push(ctx, d, left, options)
	var after *unsettled
	if errors.As(err, &after) {
		return c.settle(ctx, r, left, after)
	}
	return err
}

// checkUpdates refuses what no remote would understand, or would understand as something
// else.
func checkUpdates(updates []RefUpdate) error {
	const most = 64
	if len(updates) == 0 || len(updates) > most {
		return fmt.Errorf("%w: a push is of one to %d refs, and not of %d", ErrInvalidReference, most, len(updates))
	}
	seen := make(map[plumbing.ReferenceName]bool)
	for _, u := range updates {
		switch {
		case !pushable(u.Name.String()):
			return fmt.Errorf("%w: %q is not the full name of a ref", ErrInvalidReference, cut(u.Name.String(), maxSaid))
		case seen[u.Name]:
			return fmt.Errorf("%w: %q is pushed to twice", ErrInvalidReference, u.Name)
		case u.New.IsZero():
			return fmt.Errorf("%w: %q would be deleted", ErrInvalidReference, u.Name)
		}
		seen[u.Name] = true
	}
	return nil
}

// lines returns the options as they are sent.
func (o PushOptions) lines() ([]string, error) {
	const most = 4096
	var all []string
	for _, key := range slices.Sorted(maps.Keys(o.Options)) {
		line := key
		if value := o.Options[key]; value != "" {
			line += "=" + value
		}
		if key == "" || len(line) > most || strings.ContainsAny(line, "\x00\r\n") {
			return nil, fmt.Errorf("push option %q: %w: it has no name, a line break, or more than %d bytes", cut(key, maxSaid), ErrInvalidReference, most)
		}
		all = append(all, line)
	}
	return all, nil
}

// unsettled is an error after which nobody knows whether a push was done, or why not.
type unsettled struct {
	err error
	// stale says that it sounds as if a ref has moved.
	stale bool
}

func (u *unsettled) Error() string { return u.err.Error() }

func (u *unsettled) Unwrap() error { return u.err }

// settle looks where the refs are after a push that seems to have failed. Remotes have
// many words for a ref that has moved, and the same for other things; and an answer
// can get lost when all is done.
func (c *Client) settle(ctx context.Context, r *Remote, updates []RefUpdate, after *unsettled) error {
	if ctx.Err() != nil {
		return after.err
	}
	now, err := c.dialReceiver(ctx, r)
	if err != nil {
		if after.stale {
			return fmt.Errorf("%w: %w", ErrMoved, after.err)
		}
		return after.err
	}
	defer func() { _ = now.close() }() // it was only read
	left, err := now.compare(updates)
	switch {
	case err != nil:
		return err
	case len(left) == 0:
		return nil
	default:
		return after.err
	}
}
