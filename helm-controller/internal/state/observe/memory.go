package observe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/values"
	"weir.dev/pkg/tenant"
)

// Memory is what was observed of the release of one HelmRelease, so that it need not be read
// again. The zero value knows nothing. It is not safe for concurrent use.
type Memory struct {
	place  place
	admits bool // who the release is of has read its storage
	stored *stored
	target target
	drift  *Drift
}

// place is where a release is stored, and by which name, and as whom it is read.
type place struct {
	storage, name string
	at            *tenant.Place
}

// stored is the newest release in storage, without what is large in it.
type stored struct {
	version         int
	first           time.Time // when the first version was made: after an uninstallation, the numbers begin again
	resourceVersion string
	status          string
	content         state.Content
	owner           types.NamespacedName
	labelled        bool
	unlocked        string // the status from which it was unlocked; "" if it was not
	rollback        bool   // or it says so

	release *releases.Release // only until the end of the observation that has read it
	fits    map[string]error  // by the digest of a snapshot, whether it is of that
	within  map[string]bool   // by the digest of values, whether they are among its own
}

// target is what is known of what a rollback would go back to.
type target struct {
	of, newest string // the digest of its snapshot, and the resource version of the newest release then
	sound      bool
}

// newest returns the newest release in storage, nil if there is none. It reads it if it may
// have changed.
func (m *Memory) newest(ctx context.Context, in Input) (*stored, error) {
	if at := (place{in.Storage, in.Release.Name, in.At}); m.place != at {
		*m = Memory{place: at}
	}
	if !m.admits && in.foreign() {
		return m.ask(ctx, in)
	}
	index, watched := in.Watcher.Known(in.Storage, in.Release.Name)
	newest, exists := index.Newest()
	switch {
	case watched && !exists:
		m.stored, m.drift = nil, nil
		return nil, nil
	case watched && m.stored.is(newest) && m.suffices(in):
		return m.stored, nil
	case watched:
		return m.catchUp(ctx, in, newest)
	}
	return m.read(ctx, in)
}

// catchUp is read where it is known which version is the newest. The History of an action that
// has ended does not know what somebody else has written since, and whoever is woken by that
// takes up the action, too.
func (m *Memory) catchUp(ctx context.Context, in Input, newest releases.Version) (*stored, error) {
	s, err := m.read(ctx, in)
	if err != nil || s.is(newest) {
		return s, err
	}
	in.History.Doubt()
	return m.read(ctx, in)
}

// foreign reports whether a storage is one that the tenant may not know of: it is in another
// namespace. The Watcher knows it all the same.
func (in Input) foreign() bool {
	return in.Storage != in.HelmRelease.Namespace && in.At.User() != ""
}

// ask is newest by what the API server tells the tenant. Once it has told, the Watcher may.
func (m *Memory) ask(ctx context.Context, in Input) (*stored, error) {
	in.History.Doubt()
	newest, err := m.read(ctx, in)
	m.admits = err == nil
	return newest, err
}

// read reads the newest release.
func (m *Memory) read(ctx context.Context, in Input) (*stored, error) {
	last, err := in.History.Last(ctx)
	switch {
	case errors.Is(err, releases.ErrNotFound):
		m.stored, m.drift = nil, nil
		return nil, nil
	case err != nil:
		return nil, err
	}
	m.learn(in, last)
	return m.stored, nil
}

// learn remembers a release as it was read.
func (m *Memory) learn(in Input, r *releases.Release) {
	owner, some := ownerOf(r)
	m.stored = &stored{
		version: r.Version, first: r.Info.FirstDeployed.Time, resourceVersion: r.ResourceVersion, status: r.Info.Status.String(),
		content: state.Content{
			ChartName: r.Chart.Metadata.Name, ChartVersion: r.Chart.Metadata.Version, ConfigDigest: configDigest(r),
		},
		owner:    owner,
		labelled: !some || owner == client.ObjectKeyFromObject(in.HelmRelease),
		rollback: isRollback(r),
		unlocked: r.Unlocked(),
		release:  r,
		fits:     make(map[string]error),
		within:   make(map[string]bool),
	}
}

// is reports whether it is of a version as it is stored now.
func (s *stored) is(v releases.Version) bool {
	return s != nil && s.version == v.Number && s.resourceVersion == v.ResourceVersion
}

// suffices reports whether it is remembered whether the newest release is the one of the
// history, and if it is not, whether it was made over the values of one before.
func (m *Memory) suffices(in Input) bool {
	if last := in.HelmRelease.Status.History.Latest(); last != nil {
		differs, compared := m.stored.fits[keyOf(last)]
		if !compared || differs == nil {
			return compared
		}
	}
	_, compared := m.stored.within[in.Wanted.ConfigDigest]
	return compared || !in.preserves()
}

// holds reports whether values, of which the digest is known, are among those of the release.
func (s *stored) holds(digest string, vals map[string]any) bool {
	holds, compared := s.within[digest]
	if !compared && s.release != nil {
		holds = values.Within(vals, s.release.Config)
		s.within[digest] = holds
	}
	return holds
}

// manifest returns the manifest of the newest release, which is too large to be remembered.
func (m *Memory) manifest(ctx context.Context, in Input) (string, error) {
	if m.stored.release != nil {
		return m.stored.release.Manifest, nil
	}
	r, err := in.History.Get(ctx, m.stored.version)
	if err != nil {
		return "", err
	}
	return r.Manifest, nil
}

// keyOf identifies a snapshot.
func keyOf(s *helmv2.Snapshot) string { return s.FullReleaseName() + " " + s.Digest }

// forget drops what is large.
func (m *Memory) forget() {
	if m.stored != nil {
		m.stored.release = nil
	}
}

// verify returns why a snapshot is not of the release as it is stored; nil if it is.
func (s *stored) verify(known *helmv2.Snapshot) error {
	err, compared := s.fits[keyOf(known)]
	if !compared {
		err = s.release.Verify(known)
		s.fits[keyOf(known)] = err
	}
	return err
}

// isUnlocked reports whether the release was left under way, and nothing was done to it since but
// to unlock it.
func (s *stored) isUnlocked() bool { return s != nil && s.unlocked != "" }

// unlocks reports whether the release is the one that a snapshot is of, unlocked and nothing else.
// Nobody knows what the description was that it has lost.
func (s *stored) unlocks(known *helmv2.Snapshot) bool {
	return s.unlocked != "" && s.version == known.Version && s.unlocked == known.Status &&
		s.content.ChartName == known.ChartName && s.content.ChartVersion == known.ChartVersion && s.first.Equal(known.FirstDeployed.Time)
}

// fact returns what is known of the release; digest is that of its values, if the history
// has it.
func (s *stored) fact(digest string) *state.Release {
	r := &state.Release{Version: s.version, Status: s.status, Content: s.content, Labelled: s.labelled}
	if digest != "" {
		r.ConfigDigest = digest
	}
	return r
}

// sound reports whether a release is in storage as it was when its snapshot was taken.
func (m *Memory) sound(ctx context.Context, in Input, s *helmv2.Snapshot) (bool, error) {
	if s == nil {
		return false, nil
	}
	known := target{of: keyOf(s), newest: m.stored.resourceVersion}
	if m.target.of == known.of && m.target.newest == known.newest {
		return m.target.sound, nil
	}
	r, err := in.History.Get(ctx, s.Version)
	switch {
	case errors.Is(err, releases.ErrNotFound), errors.Is(err, releases.ErrCorrupt), errors.Is(err, releases.ErrChanged):
	case err != nil:
		return false, fmt.Errorf("cannot verify previous release to roll back to: %w", err)
	default:
		known.sound = r.Verify(s) == nil
	}
	m.target = known
	return known.sound, nil
}

// Owner returns the HelmRelease that the objects of a release are of, by their labels. It is
// empty if they do not say so, or there are none.
func Owner(r *releases.Release) types.NamespacedName {
	owner, _ := ownerOf(r)
	return owner
}

// ownerOf returns the HelmRelease that the objects of a release say they are of, and whether
// there are any. All get the labels, or none, so the first tells.
func ownerOf(r *releases.Release) (owner types.NamespacedName, some bool) {
	of, some := labelsOfFirst(r.Manifest)
	namespace, _ := of[helmv2.LabelNamespace].(string)
	name, _ := of[helmv2.LabelName].(string)
	if namespace == "" || name == "" {
		return types.NamespacedName{}, some
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, some
}

// labelsOfFirst returns the labels of the first object of a manifest, if there is one.
func labelsOfFirst(manifest string) (labels map[string]any, found bool) {
	for document := range strings.SplitSeq(manifest, "\n---") {
		var obj struct {
			Metadata struct {
				Labels map[string]any `json:"labels"`
			} `json:"metadata"`
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal([]byte(strings.TrimPrefix(document, "---")), &obj); err == nil && obj.Kind != "" {
			return obj.Metadata.Labels, true
		}
	}
	return nil, false
}

// statusOf returns a status in the SDK's type.
func statusOf(status string) release.Status { return release.Status(status) }
