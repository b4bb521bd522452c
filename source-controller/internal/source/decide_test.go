package source

import (
	"errors"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/loop"
)

func TestFault(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		sourcev1.ReasonArchiveOperationFailed:  sourcev1.ConditionStorageOperationFailed,
		sourcev1.ReasonStatOperationFailed:     sourcev1.ConditionStorageOperationFailed,
		sourcev1.ReasonDirectoryCreationFailed: sourcev1.ConditionStorageOperationFailed,
		sourcev1.ReasonInvalidPath:             sourcev1.ConditionStorageOperationFailed,
		sourcev1.ReasonSourceIgnoreError:       sourcev1.ConditionStorageOperationFailed,
		sourcev1.ReasonGitOperationFailed:      sourcev1.ConditionFetchFailed,
		sourcev1.ReasonAuthenticationFailed:    sourcev1.ConditionFetchFailed,
		sourcev1.ReasonEmptyGitRepository:      sourcev1.ConditionFetchFailed,
		sourcev1.ReasonURLInvalid:              sourcev1.ConditionFetchFailed,
		sourcev1.ReasonFailed:                  sourcev1.ConditionFetchFailed,
	}
	for reason, want := range tests {
		if got := Fault(reason); got != want {
			t.Errorf("%s is of the condition %s; want %s", reason, got, want)
		}
	}
}

func TestOwnPath(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		path string
		ok   bool
	}{
		"own":               {path: "gitrepository/ns/app/a.tar.gz", ok: true},
		"of another object": {path: "gitrepository/ns/other/a.tar.gz"},
		"of another kind":   {path: "bucket/ns/app/a.tar.gz"},
		"elsewhere":         {path: "gitrepository/else/app/a.tar.gz"},
		"outside":           {path: "gitrepository/ns/../a.tar.gz"},
		"none":              {path: ""},
	}
	for name, tc := range tests {
		repo := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "app"}}
		repo.Status.Artifact = &meta.Artifact{Path: tc.path}
		path, err := NewShelf(sourcev1.GitRepositoryKind, nil, "").path(repo)
		if (err == nil) != tc.ok || path.IsZero() == tc.ok {
			t.Errorf("%s: path %q, %v; want it accepted: %t", name, path, err, tc.ok)
		}
	}
}

// TestEvents lists what is told of a run, by what it did and how it ended.
func TestEvents(t *testing.T) {
	t.Parallel()
	artifact := func(revision, digest string) *meta.Artifact {
		return &meta.Artifact{Path: "gitrepository/ns/app/a.tar.gz", Revision: revision, Digest: digest}
	}
	state := func(a *meta.Artifact, ready metav1.ConditionStatus, reason string) *sourcev1.GitRepository {
		repo := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{UID: types.UID("1")}}
		repo.Status.Artifact = a
		if ready != "" {
			repo.Status.Conditions = []metav1.Condition{
				{Type: meta.ReadyCondition, Status: ready, Reason: reason, Message: reason},
				{Type: sourcev1.ConditionArtifactInStorage, Status: metav1.ConditionTrue, Reason: sourcev1.ReasonSucceeded, Message: "stored"},
			}
		}
		return repo
	}
	deleted := func(repo *sourcev1.GitRepository) *sourcev1.GitRepository {
		repo.DeletionTimestamp = &metav1.Time{Time: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
		return repo
	}
	const ready, failing = metav1.ConditionTrue, metav1.ConditionFalse
	broken := loop.Outcome{Verdict: loop.Failed, Reason: "Broken", Err: errors.New("Broken")}
	one, two, other := artifact("main@sha1:1", "sha256:1"), artifact("main@sha1:2", "sha256:2"), artifact("main@sha1:3", "sha256:1")
	published := Deed{Stored: "stored artifact for commit 'add app'"}
	tests := map[string]struct {
		before, after *sourcev1.GitRepository
		out           loop.Outcome
		did           Deed
		want          []string // reason, and ! before a warning
	}{
		"first artifact":          {before: state(nil, "", ""), after: state(one, ready, "ok"), did: published, want: []string{"NewArtifact"}},
		"next artifact":           {before: state(one, ready, "ok"), after: state(two, ready, "ok"), did: published, want: []string{"NewArtifact"}},
		"next commit, equal tree": {before: state(one, ready, "ok"), after: state(other, ready, "ok"), did: published, want: []string{"ArtifactUpToDate"}},
		"nothing new":             {before: state(one, ready, "ok"), after: state(one, ready, "ok")},
		"made anew":               {before: state(one, ready, "ok"), after: state(one, ready, "ok"), did: published},
		"made anew after alteration": {
			before: state(one, ready, "ok"), after: state(one, ready, "ok"), did: Deed{Stored: "x", Altered: errors.New("x")},
			want: []string{"!ArtifactVerificationFailed"},
		},
		"lost by alteration, and failing": {
			before: state(one, ready, "ok"), after: state(nil, failing, "Broken"), did: Deed{Altered: errors.New("x")}, out: broken,
			want: []string{"!ArtifactVerificationFailed", "!Broken"},
		},
		"recovery":               {before: state(one, failing, "Broken"), after: state(one, ready, "ok"), want: []string{"Succeeded"}},
		"recovery with another":  {before: state(one, failing, "Broken"), after: state(two, ready, "ok"), did: published, want: []string{"NewArtifact"}},
		"first failure":          {before: state(nil, "", ""), after: state(nil, failing, "Broken"), out: broken, want: []string{"!Broken"}},
		"failure":                {before: state(one, ready, "ok"), after: state(one, failing, "Broken"), out: broken, want: []string{"!Broken"}},
		"the same failure again": {before: state(one, failing, "Broken"), after: state(one, failing, "Broken"), out: broken},
		"another failure":        {before: state(one, failing, "Other"), after: state(one, failing, "Broken"), out: broken, want: []string{"!Broken"}},
		"deletion":               {before: state(one, ready, "ok"), after: deleted(state(one, ready, "ok"))},
		"deletion of a failing":  {before: state(one, failing, "Broken"), after: deleted(state(one, failing, "Broken"))},
		"deletion that fails":    {before: state(one, ready, "ok"), after: deleted(state(one, failing, "Broken")), out: broken, want: []string{"!Broken"}},
	}
	for name, tc := range tests {
		var deeds Deeds
		deeds.Keep(tc.after, &tc.did)
		var got []string
		for _, e := range deeds.Events(tc.before, tc.after, tc.out) {
			if e.Warning {
				got = append(got, "!"+e.Reason)
				continue
			}
			got = append(got, e.Reason)
			if a := tc.after.Status.Artifact; e.Metadata[loop.MetaRevision] != a.Revision || e.Metadata[loop.MetaDigest] != a.Digest {
				t.Errorf("%s: the metadata of %s is %v", name, e.Reason, e.Metadata)
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: events (-want +got):\n%s", name, diff)
		}
		if again := deeds.Events(tc.after, tc.after, loop.Outcome{}); len(again) > 0 && tc.out.Verdict == loop.Succeeded {
			t.Errorf("%s: the next run, which does nothing, tells %v", name, again)
		}
	}
}
