package observe_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	helmv2 "weir.dev/api/helm/v2"
	"weir.dev/helm-controller/internal/releases"
	"weir.dev/helm-controller/internal/state"
	"weir.dev/helm-controller/internal/state/observe"
)

// TestWhatAKilledProcessLeft is ours if it follows on what is recorded, is labelled and is
// what was attempted. What of it the history lacks is told.
func TestWhatAKilledProcessLeft(t *testing.T) {
	t.Parallel()
	next := func(status release.Status, change ...func(*release.Release)) func(w *world) {
		return func(w *world) {
			w.store(w.version(1, release.StatusSuperseded))
			w.store(w.version(2, status, append([]func(*release.Release){of("1.1.0", "two")}, change...)...))
		}
	}
	tests := map[string]struct {
		why   string
		given func(w *world)
		state state.State
		want  []string
	}{
		"an upgrade that it was in the middle of": {
			why: "it is to be unlocked, and to be known then", given: next(release.StatusPendingUpgrade), state: state.Locked,
			want: []string{"app.v1 superseded by  sha256:old", "app.v2 pending-upgrade by upgrade sha256:new"},
		},
		"an upgrade that had ended": {
			why: "it is as it should be", given: next(release.StatusDeployed), state: state.InSync,
			want: []string{"app.v1 superseded by  sha256:old", "app.v2 deployed by upgrade sha256:new"},
		},
		"an upgrade that had failed": {
			why: "it is to be remediated", given: next(release.StatusFailed), state: state.Failed,
			want: []string{"app.v1 superseded by  sha256:old", "app.v2 failed by upgrade sha256:new"},
		},
		"what others labelled so": {
			why: "it is not what was attempted", given: next(release.StatusDeployed, of("1.1.0", "theirs")), state: state.Unmanaged,
		},
		"what has no labels": {
			why: "the helm command makes such", state: state.Unmanaged,
			given: next(release.StatusDeployed, func(r *release.Release) {
				r.Manifest = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
			}),
		},
		"what has the labels of another": {
			why: "it is theirs", state: state.Unmanaged,
			given: next(release.StatusDeployed, func(r *release.Release) { r.Manifest = strings.ReplaceAll(r.Manifest, "name: app", "name: other") }),
		},
		"what has no objects": {
			why: "there is nothing to label", state: state.InSync, given: next(release.StatusDeployed, func(r *release.Release) { r.Manifest = "# nothing\n" }),
			want: []string{"app.v1 superseded by  sha256:old", "app.v2 deployed by upgrade sha256:new"},
		},
		"what does not follow on": {
			why: "somebody has made one in between", state: state.Unmanaged,
			given: func(w *world) {
				next(release.StatusSuperseded)(w)
				w.store(w.version(3, release.StatusDeployed, of("1.1.0", "two")))
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.store(w.version(1, release.StatusDeployed))
			w.record(1, func(s *helmv2.Snapshot) { s.Action = helmv2.ReleaseActionInstall })
			w.oci(1, "sha256:old")
			w.found(state.InSync)
			w.attempt("1.1.0", "two", "sha256:new")
			tc.given(w)
			found := w.found(tc.state)
			if diff := cmp.Diff(tc.want, recovered(found)); diff != "" {
				t.Errorf("recovered (-want +got), %s:\n%s", tc.why, diff)
			}
			if len(tc.want) == 0 {
				return
			}
			w.hr.Status.History = state.Record(w.hr.Status.History, found.Recovered...)
			if again := w.found(tc.state); len(again.Recovered) > 0 {
				t.Errorf("once recorded, there is more to recover: %q", recovered(again))
			}
			if first := w.hr.Status.History[1]; first.Action != helmv2.ReleaseActionInstall {
				t.Errorf("the release before is said to be by %q; want what made it", first.Action)
			}
		})
	}
}

// oci has the history say that the chart of a version was an OCI artifact.
func (w *world) oci(number int, artifact string) {
	w.t.Helper()
	r, err := releases.Open(w.others, "app").Get(w.t.Context(), number)
	if err != nil {
		w.t.Fatal(err)
	}
	w.hr.Status.History = state.Record(w.hr.Status.History, r.Snapshot(digest.Canonical, artifact))
}

// attempt has the status say what was attempted last.
func (w *world) attempt(version, value, oci string) {
	c := content(version, value)
	st := &w.hr.Status
	st.LastAttemptedRevision, st.LastAttemptedConfigDigest, st.LastAttemptedRevisionDigest = c.ChartVersion, c.ConfigDigest, oci
	st.LastAttemptedReleaseAction = helmv2.ReleaseActionUpgrade
	st.LastAttemptedGeneration = w.hr.Generation
	w.wanted = c
}

// TestRollbackThatWasCutOff brings back what was before, so it is not what was attempted.
func TestRollbackThatWasCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store(w.version(1, release.StatusSuperseded))
	w.record(1)
	w.oci(1, "sha256:old")
	w.store(w.version(2, release.StatusFailed, of("1.1.0", "two")))
	w.record(2)
	w.attempt("1.1.0", "two", "sha256:new")
	w.store(w.version(3, release.StatusPendingRollback, func(r *release.Release) { r.Info.Description = "Rollback to 1" }))
	found := w.found(state.Locked)
	if diff := cmp.Diff([]string{"app.v3 pending-rollback by rollback sha256:old"}, recovered(found)); diff != "" {
		t.Errorf("recovered (-want +got):\n%s", diff)
	}
	if !found.Remediated {
		t.Error("it is not said to be what a remediation left")
	}
}

// TestFirstReleaseOfAKilledProcess: the history is empty, and it is ours all the same.
func TestFirstReleaseOfAKilledProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.attempt("1.0.0", "one", "")
	w.hr.Status.LastAttemptedReleaseAction = helmv2.ReleaseActionInstall
	w.store(w.version(1, release.StatusPendingInstall))
	found := w.found(state.Locked)
	if diff := cmp.Diff([]string{"app.v1 pending-install by install "}, recovered(found)); diff != "" {
		t.Errorf("recovered (-want +got):\n%s", diff)
	}
}

// spoiled is a storage in which the newest release is not what it was a moment ago.
type spoiled struct {
	corev1client.SecretInterface
	spoil func(*corev1.SecretList)
}

func (s spoiled) List(ctx context.Context, opts metav1.ListOptions) (*corev1.SecretList, error) {
	list, err := s.SecretInterface.List(ctx, opts)
	if err == nil {
		s.spoil(list)
	}
	return list, err
}

// TestNewestThatIsLostMeanwhile: what was left by a killed process is not there any more when
// it is to be recovered, which the watch has not told yet.
func TestNewestThatIsLostMeanwhile(t *testing.T) {
	t.Parallel()
	newest := func(s corev1.Secret) bool { return s.Name == key(2) }
	tests := map[string]struct {
		why   string
		spoil func(*corev1.SecretList)
		want  error
	}{
		"it cannot be read": {
			why: "nobody knows what it was", want: releases.ErrCorrupt,
			spoil: func(list *corev1.SecretList) {
				list.Items[slices.IndexFunc(list.Items, newest)].Data["release"] = []byte("nothing")
			},
		},
		"it was deleted": {
			why: "the next look finds what is there", want: releases.ErrChanged,
			spoil: func(list *corev1.SecretList) { list.Items = slices.DeleteFunc(list.Items, newest) },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.store(w.version(1, release.StatusDeployed))
			w.record(1)
			w.found(state.InSync)
			w.attempt("1.1.0", "two", "")
			w.store(w.version(1, release.StatusSuperseded))
			w.store(w.version(2, release.StatusDeployed, of("1.1.0", "two")))
			w.found(state.InSync)
			_, err := w.observe(func(in *observe.Input) {
				in.History = releases.Open(spoiled{SecretInterface: w.others, spoil: tc.spoil}, "app")
			})
			if !errors.Is(err, tc.want) {
				t.Errorf("the error is %v; want %v (%s)", err, tc.want, tc.why)
			}
		})
	}
}
