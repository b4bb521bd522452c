package loop

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
)

func TestMergeConditions(t *testing.T) {
	t.Parallel()
	cond := func(name, reason string) metav1.Condition { return condition(name, "True", reason, "") }
	later := cond("Z", "A")
	later.ObservedGeneration = 2
	type list = []metav1.Condition
	tests := map[string]struct {
		why              string
		base, obj, fresh list
		want             list
	}{
		"takes what the run set":           {why: "nobody else did", obj: list{cond("A", "ours")}, want: list{cond("A", "ours")}},
		"keeps what somebody added":        {why: "we know nothing of it", fresh: list{cond("A", "theirs")}, want: list{cond("A", "theirs")}},
		"keeps what somebody changed":      {why: "we did not touch it", base: list{cond("A", "old")}, obj: list{cond("A", "old")}, fresh: list{cond("A", "theirs")}, want: list{cond("A", "theirs")}},
		"drops what somebody removed":      {why: "we did not touch it", base: list{cond("A", "old")}, obj: list{cond("A", "old")}},
		"drops what the run removed":       {why: "nobody else touched it", base: list{cond("A", "old")}, fresh: list{cond("A", "old")}},
		"prefers the run":                  {why: "it is the controller of the object", base: list{cond("A", "old")}, obj: list{cond("A", "ours")}, fresh: list{cond("A", "theirs")}, want: list{cond("A", "ours")}},
		"prefers the run in what it added": {why: "it is the controller of the object", obj: list{cond("A", "ours")}, fresh: list{cond("A", "theirs")}, want: list{cond("A", "ours")}},
		"decides on Ready alone":           {why: "it follows from the run", base: list{cond("Ready", "old")}, obj: list{cond("Ready", "old")}, fresh: list{cond("Ready", "theirs")}, want: list{cond("Ready", "old")}},
		"decides that none is Stalled":     {why: "it follows from the run", fresh: list{cond("Stalled", "theirs")}},
		"is in the order of conditions": {
			why: "or the next run would write it again", obj: list{cond("Ready", "A"), cond("B", "A")},
			fresh: list{cond("A", "A"), later, cond("Reconciling", "A")},
			want:  list{cond("Ready", "A"), later, cond("A", "A"), cond("B", "A")},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sameConditions(t, mergeConditions(tc.base, tc.obj, tc.fresh), tc.want...)
			if t.Failed() {
				t.Log(tc.why)
			}
		})
	}
}

func TestStatusChange(t *testing.T) {
	t.Parallel()
	with := func(edit func(*sourcev1.GitRepositoryStatus)) *sourcev1.GitRepository {
		repo := &sourcev1.GitRepository{}
		edit(&repo.Status)
		return repo
	}
	full := func(s *sourcev1.GitRepositoryStatus) {
		s.ObservedGeneration = 3
		s.Artifact = artifact("one")
		s.Artifact.Metadata = map[string]string{"a": "1", "b": "2"}
		s.ObservedSparseCheckout = []string{"x", "y"}
	}
	tests := map[string]struct {
		why      string
		from, to func(*sourcev1.GitRepositoryStatus)
		want     map[string]any
	}{
		"is nothing between equals":  {why: "no request is made", from: full, to: full},
		"is nothing between empties": {why: "no request is made", from: func(*sourcev1.GitRepositoryStatus) {}, to: func(*sourcev1.GitRepositoryStatus) {}},
		"has what is new": {
			why: "and no more", from: func(*sourcev1.GitRepositoryStatus) {},
			to:   func(s *sourcev1.GitRepositoryStatus) { s.ObservedGeneration = 1 },
			want: map[string]any{"observedGeneration": 1.0},
		},
		"removes by null": {
			why: "a merge patch keeps what it does not name", from: full,
			to:   func(s *sourcev1.GitRepositoryStatus) { full(s); s.Artifact, s.ObservedGeneration = nil, 0 },
			want: map[string]any{"artifact": nil, "observedGeneration": nil},
		},
		"reaches into objects": {
			why: "a merge patch keeps what it does not name", from: full,
			to: func(s *sourcev1.GitRepositoryStatus) {
				full(s)
				s.Artifact.Revision = "two"
				delete(s.Artifact.Metadata, "a")
			},
			want: map[string]any{"artifact": map[string]any{"revision": "two", "metadata": map[string]any{"a": nil}}},
		},
		"replaces lists": {
			why: "a merge patch knows no items", from: full,
			to:   func(s *sourcev1.GitRepositoryStatus) { full(s); s.ObservedSparseCheckout = []string{"y"} },
			want: map[string]any{"observedSparseCheckout": []any{"y"}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := statusChange(with(tc.from), with(tc.to))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("change (-want +got):\n%s(%s)", diff, tc.why)
			}
		})
	}
}
