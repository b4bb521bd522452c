package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// restoring bounds how long it may take to put back what has been taken away.
const restoring = 30 * time.Second

// Key lets whoever has the private part of it read a repository.
type Key struct {
	Name   string
	Public string // as in a file of authorized keys
	Write  bool

	id int64
}

// same reports whether two keys are one, whatever they are called.
func (k Key) same(other Key) bool {
	a, b := strings.Fields(k.Public), strings.Fields(other.Public)
	return len(a) > 1 && len(b) > 1 && a[0] == b[0] && a[1] == b[1]
}

// EnsureKey sees to it that the repository has the key with its permission and name, and
// reports whether it had not. Another key of that name goes.
//
// Whoever uses the key gets it by use, once the host has taken it and before the other
// goes, so that there is always one that lets in. A host that does not take the key leaves
// everything as it was.
func (h *Host) EnsureKey(ctx context.Context, r Repository, want Key, use func() error) (changed bool, err error) {
	stale, there, err := h.compareKeys(ctx, r, want)
	if err != nil {
		return false, fmt.Errorf("reading the deploy keys of %s: %w", h, err)
	}
	if !there {
		if stale, err = h.addKey(ctx, r, want, stale); err != nil {
			return false, err
		}
	}
	if err := use(); err != nil {
		return !there, err
	}
	return !there || len(stale) > 0, h.deleteKeys(ctx, r, stale)
}

// compareKeys looks for a key, and for those that are to go: others of its name, and the
// same with another permission, which no host lets change.
func (h *Host) compareKeys(ctx context.Context, r Repository, want Key) (stale []Key, there bool, err error) {
	err = each(func(page int) ([]Key, error) { return h.api.keys(ctx, r, page) }, func(k Key) {
		switch {
		case k.same(want) && k.Write == want.Write:
			there = true
		case k.same(want), k.Name == want.Name:
			stale = append(stale, k)
		}
	})
	return stale, there, err
}

// addKey adds a key, and returns what of the others is still to go. Those in its way are
// put back if it is not taken.
func (h *Host) addKey(ctx context.Context, r Repository, want Key, stale []Key) (left []Key, err error) {
	inTheWay := func(k Key) bool { return h.api.inTheWay(k, want) }
	left = slices.DeleteFunc(slices.Clone(stale), inTheWay)
	before := slices.DeleteFunc(stale, func(k Key) bool { return !inTheWay(k) })
	if err := h.deleteKeys(ctx, r, before); err != nil {
		return nil, err
	}
	if err := h.api.addKey(ctx, r, want); err != nil {
		err = fmt.Errorf("adding the deploy key %q to %s: %w", want.Name, h, err)
		return nil, errors.Join(err, h.restoreKeys(ctx, r, before))
	}
	return left, nil
}

// restoreKeys puts keys back, even if there is no time any more.
func (h *Host) restoreKeys(ctx context.Context, r Repository, keys []Key) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restoring)
	defer cancel()
	for _, k := range keys {
		if err := h.api.addKey(ctx, r, k); err != nil {
			return fmt.Errorf("putting back the deploy key %q of %s: %w", k.Name, h, err)
		}
	}
	return nil
}

func (h *Host) deleteKeys(ctx context.Context, r Repository, keys []Key) error {
	for _, k := range keys {
		if err := h.api.deleteKey(ctx, r, k.id); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("removing the deploy key %q of %s: %w", k.Name, h, err)
		}
	}
	return nil
}
