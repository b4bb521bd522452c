package releases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// maxTries bounds how often a write is tried while others write labels to a Secret.
const maxTries = 4

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
// identity sees them. It lists them when first asked and remembers which there are from then
// on, with its own writes; so it is good for one observation or one action. What they hold
// is read when it is asked for; it remembers that of the newest, and of others as far as
// they are small. It is safe for concurrent use.
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
	c.SetStatus(release.StatusFailed, fmt.Sprintf(unlockedFrom, r.Info.Status))
	return h.update(ctx, c)
}

// unlockedFrom is the description of a release that Unlock has left, with the status that it had.
const unlockedFrom = "Release unlocked from stale '%s' state"

// Unlocked returns the status from which a release was unlocked that nothing was done to since;
// "" if it was not.
func (r *Release) Unlocked() string {
	if r.Info.Status != release.StatusFailed {
		return ""
	}
	before, after, _ := strings.Cut(unlockedFrom, "%s")
	rest, begins := strings.CutPrefix(r.Info.Description, before)
	status, ends := strings.CutSuffix(rest, after)
	if !begins || !ends {
		return ""
	}
	return status
}

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
	forgotten := s.sum
	s, err := h.whole(ctx, s)
	if err != nil {
		return nil, err
	}
	if forgotten != nil && !bytes.Equal(forgotten, sumOf(s.data)) {
		h.doubt()
		return nil, fmt.Errorf("storing version %d of release %q: %w", rel.Version, rel.Name, ErrChanged)
	}
	before, err := s.look()
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
	written := &Release{Release: stored, Method: method, ResourceVersion: made.ResourceVersion, stored: data, size: len(js) + perValue*count(js)}
	if s.release = written; h.stored == nil {
		h.stored = make(map[int]*secret)
	}
	h.stored[rel.Version] = s
	h.trim()
	return written, nil
}

// remove deletes a version, unless somebody has put another in its place. The lock is held.
func (h *History) remove(ctx context.Context, version int) error {
	s, ok := h.stored[version]
	if !ok {
		return fmt.Errorf("%w: %q has no version %d", ErrNotFound, h.name, version)
	}
	only := &metav1.Preconditions{UID: new(s.meta.UID)}
	if s.meta.UID == "" {
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
