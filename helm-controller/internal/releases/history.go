package releases

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

const (
	// pageSize is how many Secrets one request lists. Few releases have as many versions.
	pageSize = 50
	// maxHistory bounds what all versions of a release take together, as they are stored.
	maxHistory = 256 << 20
	// maxTries bounds how often a write is tried while others write labels to a Secret.
	maxTries = 4
)

var (
	// ErrNotFound is given when there is no such version.
	ErrNotFound = errors.New("no such release is stored")
	// ErrExists is given when somebody else stored a version first.
	ErrExists = errors.New("the release is stored already")
	// ErrChanged is given when somebody else has written or deleted a version since it was
	// read.
	ErrChanged = errors.New("stored release was changed by somebody else meanwhile")
	// ErrNotLocked is given to the attempt to unlock what is not locked.
	ErrNotLocked = errors.New("release is not in the middle of an action")
)

// History is the versions of one release that are stored in one namespace, as one
// identity sees them. It lists them when first asked and remembers them from then on,
// with its own writes; so it is good for one observation or one action. It is safe for
// concurrent use.
type History struct {
	secrets corev1client.SecretInterface
	name    string
	ledger  ledger

	mu     sync.Mutex
	listed bool
	// doubtful says that the ledger may be wrong.
	doubtful bool
	stored   map[int]*secret
}

// Open returns the History of a release. Nothing is read yet.
func Open(secrets corev1client.SecretInterface, name string) *History {
	return &History{secrets: secrets, name: name, ledger: blank{}}
}

// All returns the versions, the newest first. Those that cannot be read are left out, and
// the error, which is ErrCorrupt then, names each.
func (h *History) All(ctx context.Context) ([]*Release, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, err := h.listWhole(ctx)
	if err != nil {
		return nil, err
	}
	var found []*Release
	var corrupt []error
	for _, s := range all {
		r, err := s.read()
		if err != nil {
			corrupt = append(corrupt, err)
			continue
		}
		found = append(found, r)
	}
	return found, errors.Join(corrupt...)
}

// Last returns the newest version. It is ErrNotFound that there is none.
func (h *History) Last(ctx context.Context) (*Release, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, err := h.list(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0:
		return nil, fmt.Errorf("%w: %q has no version", ErrNotFound, h.name)
	}
	return h.read(ctx, all[0])
}

// Get returns a version. It is ErrNotFound that there is none of that number.
func (h *History) Get(ctx context.Context, version int) (*Release, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.list(ctx); err != nil {
		return nil, err
	}
	s, ok := h.stored[version]
	if !ok {
		return nil, fmt.Errorf("%w: %q has no version %d", ErrNotFound, h.name, version)
	}
	return h.read(ctx, s)
}

// Unlock ends an action that nobody carries on: the version it was making, r, becomes a
// failed one. It is ErrChanged that somebody has carried it on after all.
func (h *History) Unlock(ctx context.Context, r *Release) (*Release, error) {
	if !locked(r.Info.Status) {
		return nil, fmt.Errorf("%w: %q is %s", ErrNotLocked, r.Name, r.Info.Status)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.list(ctx); err != nil {
		return nil, err
	}
	s, ok := h.stored[r.Version]
	if !ok {
		return nil, fmt.Errorf("%w: version %d of %q is gone", ErrChanged, r.Version, r.Name)
	}
	now, err := h.read(ctx, s)
	switch {
	case err != nil:
		return nil, err
	case !bytes.Equal(now.stored, r.stored):
		return nil, fmt.Errorf("%w: version %d of %q", ErrChanged, r.Version, r.Name)
	}
	c := clone(r.Release)
	c.SetStatus(release.StatusFailed, fmt.Sprintf("Release unlocked from stale '%s' state", r.Info.Status))
	return h.update(ctx, c)
}

// list returns what is stored, the newest first. Of some there may be no more than the
// labels, if the ledger has them. The lock is held.
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
	return slices.SortedFunc(maps.Values(h.stored), func(a, b *secret) int { return cmp.Compare(b.version, a.version) }), nil
}

// listWhole returns what is stored, the newest first, all with what they hold. The lock
// is held.
func (h *History) listWhole(ctx context.Context) ([]*secret, error) {
	all, err := h.list(ctx)
	if err != nil || !slices.ContainsFunc(all, func(s *secret) bool { return s.labelsOnly }) {
		return all, err
	}
	h.doubt()
	return h.list(ctx)
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

// read returns the release in a Secret, which it asks for if it has but the labels. The
// lock is held.
func (h *History) read(ctx context.Context, s *secret) (*Release, error) {
	if s.labelsOnly {
		now, err := h.secrets.Get(ctx, s.meta.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			h.doubt()
			return nil, fmt.Errorf("%w: version %d of %q is gone", ErrChanged, s.version, h.name)
		case err != nil:
			return nil, fmt.Errorf("reading version %d of release %q: %w", s.version, h.name, err)
		}
		*s = *newSecret(now, s.version)
	}
	return s.read()
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
		for i := range page.Items {
			name, version, ok := parseKey(page.Items[i].Name)
			if !ok || name != h.name {
				continue // a copy, which Helm would not find by its name
			}
			stored[version] = newSecret(&page.Items[i], version)
			size += len(stored[version].data)
		}
		if size > maxHistory {
			return nil, fmt.Errorf("%w: the stored versions of %q take more than %d MiB; limit the history, and delete old Secrets", ErrTooLarge, h.name, maxHistory>>20)
		}
		if opts.Continue = page.Continue; opts.Continue == "" {
			return stored, nil
		}
	}
}

// doubt makes the next reader list the Secrets, after something that cannot be if all is
// as it is known to be, or a write of which the outcome is unknown. The lock is held.
func (h *History) doubt() { h.listed, h.doubtful, h.stored = false, true, nil }

// create stores a version that is new. The lock is held.
func (h *History) create(ctx context.Context, rel *release.Release, method Method) (*Release, error) {
	data, js, err := encode(rel, method, nil)
	if err != nil {
		return nil, err
	}
	defer h.ledger.begin()()
	made, err := h.secrets.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: keyOf(rel.Name, rel.Version), Labels: labelsOf(rel, nil, createdLabel, time.Now())},
		Type:       secretType,
		Data:       map[string][]byte{dataKey: data},
	}, metav1.CreateOptions{})
	if err != nil {
		h.doubt()
		if apierrors.IsAlreadyExists(err) {
			err = ErrExists
		}
		return nil, fmt.Errorf("storing version %d of release %q: %w", rel.Version, rel.Name, err)
	}
	return h.wrote(made, data, js, rel, true)
}

// update stores a version anew. The lock is held.
func (h *History) update(ctx context.Context, rel *release.Release) (*Release, error) {
	s, ok := h.stored[rel.Version]
	if !ok {
		return nil, fmt.Errorf("%w: %q has no version %d", ErrNotFound, rel.Name, rel.Version)
	}
	before, err := h.read(ctx, s)
	if err != nil {
		return nil, err // what cannot be read must not be overwritten
	}
	kept := before.stored
	if s.plain {
		kept = nil
	}
	data, js, err := encode(rel, before.Method, kept)
	if err != nil {
		return nil, err
	}
	defer h.ledger.begin()()
	made, err := h.replace(ctx, s, rel, data)
	if err != nil {
		h.doubt()
		return nil, fmt.Errorf("storing version %d of release %q: %w", rel.Version, rel.Name, err)
	}
	return h.wrote(made, data, js, rel, s.plain)
}

// replace writes data to the Secret of a release, unless somebody else has changed what
// is stored in it. Other changes of the Secret are kept.
func (h *History) replace(ctx context.Context, s *secret, rel *release.Release, data []byte) (*corev1.Secret, error) {
	had := s.meta
	for try := 1; ; try++ {
		meta := had.DeepCopy()
		meta.Labels = labelsOf(rel, had.Labels, modifiedLabel, time.Now())
		made, err := h.secrets.Update(ctx, &corev1.Secret{ObjectMeta: *meta, Type: secretType, Data: map[string][]byte{dataKey: data}}, metav1.UpdateOptions{})
		switch {
		case err == nil:
			return made, nil
		case apierrors.IsNotFound(err):
			return nil, fmt.Errorf("%w: it is gone", ErrChanged)
		case !apierrors.IsConflict(err) || try == maxTries:
			return nil, err
		}
		now, err := h.secrets.Get(ctx, s.meta.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil, fmt.Errorf("%w: it is gone", ErrChanged)
		case err != nil:
			return nil, err
		case now.UID != had.UID || !bytes.Equal(now.Data[dataKey], s.data):
			return nil, ErrChanged
		}
		had = newSecret(now, s.version).meta
	}
}

// wrote remembers a Secret as it was written: data, which is js, for rel. The lock is held.
func (h *History) wrote(made *corev1.Secret, data, js []byte, rel *release.Release, plain bool) (*Release, error) {
	s := newSecret(made, rel.Version)
	s.data, s.plain = data, plain
	h.ledger.wrote(Version{Number: rel.Version, Status: rel.Info.Status, ResourceVersion: made.ResourceVersion})
	stored, method, err := reread(js, rel.Chart)
	if err != nil {
		h.doubt()
		return nil, fmt.Errorf("release %q comes back from storage otherwise: %w", rel.Name, err)
	}
	stored.Labels = custom(made.Labels)
	s.release = &Release{Release: stored, Method: method, ResourceVersion: made.ResourceVersion, stored: data}
	if h.stored == nil {
		h.stored = make(map[int]*secret)
	}
	h.stored[rel.Version] = s
	return s.release, nil
}

// remove deletes a version, unless somebody has put another in its place. The lock is held.
func (h *History) remove(ctx context.Context, version int) error {
	s, ok := h.stored[version]
	if !ok {
		return fmt.Errorf("%w: %q has no version %d", ErrNotFound, h.name, version)
	}
	only := &metav1.Preconditions{UID: new(s.meta.UID)}
	if s.labelsOnly {
		only = &metav1.Preconditions{ResourceVersion: new(s.meta.ResourceVersion)}
	}
	defer h.ledger.begin()()
	err := h.secrets.Delete(ctx, s.meta.Name, metav1.DeleteOptions{Preconditions: only})
	switch {
	case apierrors.IsConflict(err):
		h.doubt()
		return fmt.Errorf("deleting version %d of release %q: %w", version, h.name, ErrChanged)
	case err != nil && !apierrors.IsNotFound(err):
		h.doubt()
		return fmt.Errorf("deleting version %d of release %q: %w", version, h.name, err)
	}
	h.ledger.removed(version)
	delete(h.stored, version)
	return nil
}
