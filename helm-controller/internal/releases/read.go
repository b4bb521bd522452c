package releases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const (
	// pageSize is how many Secrets one request lists. Few releases have as many versions.
	pageSize = 16
	// maxHistory bounds what all versions of a release take together, as they are stored.
	maxHistory = 256 << 20
	// maxTogether bounds what versions take that somebody wants at the same time, unpacked.
	maxTogether = 64 << 20
	// maxKept bounds what is remembered of what versions hold besides the newest, as they
	// are stored, and once more unpacked.
	maxKept = 4 << 20
)

// Each goes through the versions, the newest first. It reads each when it is its turn, and
// forgets it after that unless it is the newest. One that cannot be read comes as an error
// that is ErrCorrupt and names it; any other error is the last.
func (h *History) Each(ctx context.Context) iter.Seq2[*Release, error] {
	return func(yield func(*Release, error) bool) {
		h.mu.Lock()
		all, err := h.list(ctx)
		h.mu.Unlock()
		if err != nil {
			yield(nil, err)
			return
		}
		for i, s := range all {
			h.mu.Lock()
			read := h.look
			if i == 0 {
				read = h.read
			}
			r, err := read(ctx, s)
			h.mu.Unlock()
			if !yield(r, err) || err != nil && !errors.Is(err, ErrCorrupt) {
				return
			}
		}
	}
}

// All returns the versions, the newest first, if they are not too large to be looked at
// together. Those that cannot be read are left out, and the error, which is ErrCorrupt then,
// names each.
func (h *History) All(ctx context.Context) ([]*Release, error) {
	var found []*Release
	var corrupt []error
	size := 0
	for r, err := range h.Each(ctx) {
		switch {
		case errors.Is(err, ErrCorrupt):
			corrupt = append(corrupt, err)
			continue
		case err != nil:
			return nil, err
		}
		if size += r.size; size > maxTogether && len(found) > 0 {
			return nil, h.tooLarge()
		}
		found = append(found, r)
	}
	return found, errors.Join(corrupt...)
}

// tooLarge is the error for versions that are not looked at together.
func (h *History) tooLarge() error {
	return fmt.Errorf("%w: versions of %q that are to be read together take more than %d MiB; delete old Secrets of it", ErrTooLarge, h.name, maxTogether>>20)
}

// list returns what is stored, the newest first. Of some there may be no more than the
// labels. The lock is held.
func (h *History) list(ctx context.Context) ([]*secret, error) {
	if !h.listed {
		stored, ok := h.recall()
		if !ok {
			var err error
			if stored, err = h.fetch(ctx); err != nil {
				return nil, err
			}
		}
		for number, s := range stored {
			if before, ok := h.stored[number]; ok && before.meta.ResourceVersion == s.meta.ResourceVersion {
				stored[number] = before // which may have been read
			}
		}
		h.stored, h.listed = stored, true
	}
	return newestFirst(h.stored), nil
}

func newestFirst(stored map[int]*secret) []*secret {
	return slices.SortedFunc(maps.Values(stored), func(a, b *secret) int { return cmp.Compare(b.version, a.version) })
}

// recall returns what the ledger knows, if it does.
func (h *History) recall() (map[int]*secret, bool) {
	if h.doubtful {
		return nil, false
	}
	index, ok := h.ledger.known()
	stored := make(map[int]*secret, len(index))
	for _, v := range index {
		stored[v.Number] = labelled(h.name, v)
	}
	return stored, ok
}

// read returns the release in a Secret, which it asks for if it has but the labels, and
// remembers it. The lock is held.
func (h *History) read(ctx context.Context, s *secret) (*Release, error) {
	now, err := h.whole(ctx, s)
	if err != nil {
		return nil, err
	}
	*s = *now
	r, err := s.read()
	h.trim()
	return r, err
}

// look is read, but for that it remembers nothing. The lock is held.
func (h *History) look(ctx context.Context, s *secret) (*Release, error) {
	now, err := h.whole(ctx, s)
	if err != nil {
		return nil, err
	}
	return now.look()
}

// whole returns a Secret with what it holds. The lock is held.
func (h *History) whole(ctx context.Context, s *secret) (*secret, error) {
	if !s.labelsOnly {
		return s, nil
	}
	now, err := h.secrets.Get(ctx, s.meta.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		h.doubt()
		return nil, fmt.Errorf("%w: version %d of %q is gone", ErrChanged, s.version, h.name)
	case err != nil:
		return nil, fmt.Errorf("reading version %d of release %q: %w", s.version, h.name, err)
	}
	return newSecret(now, s.version), nil
}

// trim forgets what versions hold of which there is too much, the oldest first. What the
// newest holds is kept. The lock is held.
func (h *History) trim() { forget(h.stored) }

func forget(stored map[int]*secret) {
	packed, unpacked := 0, 0
	for i, s := range newestFirst(stored) {
		if i == 0 {
			continue
		}
		if unpacked += s.size(); unpacked > maxKept {
			s.release = nil
		}
		if packed += s.weight(); packed > maxKept && !s.labelsOnly {
			s.empty()
		}
	}
}

// fetch asks for the Secrets of the release.
func (h *History) fetch(ctx context.Context) (map[int]*secret, error) {
	selector, err := labels.ValidatedSelectorFromSet(labels.Set{ownerLabel: owner, nameLabel: h.name})
	if err != nil {
		return nil, fmt.Errorf("releases cannot be named %q: %w", h.name, err)
	}
	stored, size := make(map[int]*secret), 0
	opts := metav1.ListOptions{LabelSelector: selector.String(), Limit: pageSize}
	for {
		page, err := h.secrets.List(ctx, opts)
		if err != nil {
			return nil, fmt.Errorf("listing the stored versions of release %q: %w", h.name, err)
		}
		size += h.take(stored, page.Items)
		if size > maxHistory {
			return nil, fmt.Errorf("%w: the stored versions of %q take more than %d MiB; limit the history, and delete old Secrets", ErrTooLarge, h.name, maxHistory>>20)
		}
		if opts.Continue = page.Continue; opts.Continue == "" {
			return stored, nil
		}
	}
}

// take adds Secrets to what is stored, as far as they are versions of the release, and
// returns how much they hold. No more of that is kept than is remembered.
func (h *History) take(stored map[int]*secret, page []corev1.Secret) (size int) {
	for i := range page {
		name, version, ok := parseKey(page[i].Name)
		if !ok || name != h.name {
			continue // a copy, which Helm would not find by its name
		}
		stored[version] = newSecret(&page[i], version)
		size += len(stored[version].data)
	}
	forget(stored)
	return size
}

// Doubt has the next reader list the Secrets, as the identity of the History. What a
// Watcher knows it may not be allowed to know.
func (h *History) Doubt() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.doubt()
}

// doubt makes the next reader list the Secrets, after something that cannot be if all is
// as it is known to be, or a write of which the outcome is unknown. The lock is held.
func (h *History) doubt() { h.listed, h.doubtful, h.stored = false, true, nil }
