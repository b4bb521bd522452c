package releases

import (
	"context"
	"errors"
	"fmt"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/labels"
)

// DriverOptions are for the releases that one action stores. The zero value does nothing
// but store them.
type DriverOptions struct {
	// Method is told of the releases that are made. Those that exist keep theirs.
	Method Method
	// Prepare may change a release before it is first stored, and with it what the action
	// goes on with. A rollback makes one of what an earlier Prepare has seen. May be nil.
	Prepare func(*release.Release) error
	// Wrote is called with each version that was stored, as it is now; may be nil.
	Wrote func(*Release)
}

// Driver returns the History as the storage of an action of the SDK. Its errors are those
// of Helm's drivers where they have one, and ErrCorrupt and ErrChanged besides. All
// requests end with ctx; an action that is to tell how it was interrupted needs one that
// lasts longer than its own.
//
// What the SDK gets is its own to change. Where it asks for all versions, it wants the
// newest, and counts the others: it gets no more of those than name, version and status.
// So one that cannot be read is deleted when its time has come; but it is an error where
// its content matters: if it is the newest, or asked for by its number or status.
func (h *History) Driver(ctx context.Context, opts DriverOptions) driver.Driver {
	return &helmStorage{ctx: ctx, history: h, opts: opts}
}

// helmStorage is a History for the SDK.
type helmStorage struct {
	ctx     context.Context // of the action: the SDK passes none
	history *History
	opts    DriverOptions
}

// Name implements driver.Driver.
func (s *helmStorage) Name() string { return driver.SecretsDriverName }

// Get implements driver.Queryor.
func (s *helmStorage) Get(key string) (*release.Release, error) {
	version, err := s.version(key)
	if err != nil {
		return nil, err
	}
	r, err := s.history.Get(s.ctx, version)
	if err != nil {
		return nil, helms(err)
	}
	return clone(r.Release), nil
}

// List implements driver.Queryor. There are no releases but those of one name.
func (s *helmStorage) List(filter func(*release.Release) bool) ([]*release.Release, error) {
	all, err := s.history.All(s.ctx)
	if err != nil {
		return nil, helms(err)
	}
	var found []*release.Release
	for _, r := range all {
		if c := clone(r.Release); filter(c) {
			found = append(found, c)
		}
	}
	return found, nil
}

// Query implements driver.Queryor.
func (s *helmStorage) Query(by map[string]string) ([]*release.Release, error) {
	h := s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	all, err := h.list(s.ctx)
	if err != nil {
		return nil, err
	}
	_, content := by[statusLabel]
	var found []*release.Release
	size := 0
	for i, stored := range all {
		switch {
		case !labels.SelectorFromSet(by).Matches(labels.Set(stored.meta.Labels)):
		case i > 0 && !content:
			found = append(found, stored.outline())
		default:
			r, err := h.read(s.ctx, stored)
			if err != nil {
				return nil, err
			}
			if size += r.size; size > maxTogether && len(found) > 0 {
				return nil, h.tooLarge()
			}
			found = append(found, clone(r.Release))
		}
	}
	if len(found) == 0 {
		return nil, driver.ErrReleaseNotFound
	}
	return found, nil
}

// Create implements driver.Creator.
func (s *helmStorage) Create(key string, rel *release.Release) error {
	if err := s.check(key, rel); err != nil {
		return err
	}
	if s.opts.Prepare != nil {
		if err := s.opts.Prepare(rel); err != nil {
			return err
		}
	}
	s.history.mu.Lock()
	r, err := s.history.create(s.ctx, rel, s.opts.Method)
	s.history.mu.Unlock()
	return s.told(r, err)
}

// Update implements driver.Updator.
func (s *helmStorage) Update(key string, rel *release.Release) error {
	if err := s.check(key, rel); err != nil {
		return err
	}
	s.history.mu.Lock()
	_, err := s.history.list(s.ctx)
	var r *Release
	if err == nil {
		r, err = s.history.update(s.ctx, rel)
	}
	s.history.mu.Unlock()
	return s.told(r, err)
}

// Delete implements driver.Deletor. One that is gone by then was deleted.
func (s *helmStorage) Delete(key string) (*release.Release, error) {
	version, err := s.version(key)
	if err != nil {
		return nil, err
	}
	h := s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.list(s.ctx); err != nil {
		return nil, err
	}
	stored, ok := h.stored[version]
	if !ok {
		return nil, driver.ErrReleaseNotFound
	}
	if err := h.remove(s.ctx, version); err != nil {
		return nil, err
	}
	if stored.release != nil {
		return clone(stored.release.Release), nil
	}
	return stored.outline(), nil // which nobody needs more of
}

// told passes on what came of a write.
func (s *helmStorage) told(r *Release, err error) error {
	if err != nil {
		return helms(err)
	}
	if s.opts.Wrote != nil {
		s.opts.Wrote(r)
	}
	return nil
}

// version returns the version that a key is of.
func (s *helmStorage) version(key string) (int, error) {
	name, version, ok := parseKey(key)
	switch {
	case !ok:
		return 0, driver.ErrInvalidKey
	case name != s.history.name:
		return 0, driver.ErrReleaseNotFound
	}
	return version, nil
}

// check returns an error unless a release is one of the History, and has that key.
func (s *helmStorage) check(key string, rel *release.Release) error {
	if rel.Name != s.history.name || key != keyOf(rel.Name, rel.Version) {
		return fmt.Errorf("%w: %q is to hold version %d of %q", driver.ErrInvalidKey, key, rel.Version, rel.Name)
	}
	return nil
}

// helms returns an error as Helm's drivers have it.
func helms(err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return driver.ErrReleaseNotFound
	case errors.Is(err, ErrExists):
		return driver.ErrReleaseExists
	default:
		return err
	}
}
