package gitrepository

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/git"
	"weir.dev/pkg/loop"
)

func TestUnsupported(t *testing.T) {
	t.Parallel()
	ref := &meta.LocalObjectReference{Name: "x"}
	tests := map[string]struct {
		spec sourcev1.GitRepositorySpec
		want string
	}{
		"nothing set":         {},
		"generic":             {spec: sourcev1.GitRepositorySpec{Provider: sourcev1.GitProviderGeneric}},
		"what works":          {spec: sourcev1.GitRepositorySpec{URL: "x", Reference: &sourcev1.GitRepositoryRef{}, SecretRef: ref, Timeout: &metav1.Duration{}, Ignore: new(string), Suspend: true}},
		"verify":              {spec: sourcev1.GitRepositorySpec{Verification: &sourcev1.GitRepositoryVerification{}}, want: "verify"},
		"submodules":          {spec: sourcev1.GitRepositorySpec{RecurseSubmodules: true}, want: "recurseSubmodules"},
		"include":             {spec: sourcev1.GitRepositorySpec{Include: []sourcev1.GitRepositoryInclude{{}}}, want: "include"},
		"sparse checkout":     {spec: sourcev1.GitRepositorySpec{SparseCheckout: []string{"a"}}, want: "sparseCheckout"},
		"proxy":               {spec: sourcev1.GitRepositorySpec{ProxySecretRef: ref}, want: "proxySecretRef"},
		"provider":            {spec: sourcev1.GitRepositorySpec{Provider: sourcev1.GitProviderGitHub}, want: "provider"},
		"service account":     {spec: sourcev1.GitRepositorySpec{ServiceAccountName: "x"}, want: "serviceAccountName"},
		"account of provider": {spec: sourcev1.GitRepositorySpec{ServiceAccountName: "x", Provider: sourcev1.GitProviderAWS}, want: "serviceAccountName"},
	}
	// What the API server accepts as a reason.
	valid := regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)
	r := &Reconciler{}
	for name, tc := range tests {
		if got := unsupported(tc.spec); got != tc.want {
			t.Errorf("%s: unsupported field %q; want %q", name, got, tc.want)
		}
		err := r.refuseUnsupported(t.Context(), &scope{repo: &sourcev1.GitRepository{Spec: tc.spec}})
		if tc.want == "" {
			if err != nil {
				t.Errorf("%s is refused: %v", name, err)
			}
			continue
		}
		out := outcome(t, err)
		if out.Verdict != loop.Stalled || !valid.MatchString(out.Reason) || !strings.HasSuffix(out.Reason, tc.want) {
			t.Errorf("%s: %s with the reason %q; want Stalled with a valid reason that names %s", name, out.Verdict, out.Reason, tc.want)
		}
	}
}

// TestEveryFieldIsKnown fails when a field is added to the spec, so that somebody
// decides whether it works.
func TestEveryFieldIsKnown(t *testing.T) {
	t.Parallel()
	want := []string{
		"url", "ref", "interval", "timeout", "secretRef", "provider", "serviceAccountName", "proxySecretRef", "verify", "ignore",
		"include", "sparseCheckout", "recurseSubmodules", "suspend",
	}
	var got []string
	for f := range reflect.TypeFor[sourcev1.GitRepositorySpec]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		got = append(got, name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields of the spec (-known +there):\n%s", diff)
	}
}

func TestFailed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		want loop.Outcome
	}{
		"empty":      {err: git.ErrEmpty, want: loop.Outcome{Verdict: loop.Failed, Reason: sourcev1.ReasonEmptyGitRepository}},
		"reference":  {err: git.ErrInvalidReference, want: loop.Outcome{Verdict: loop.Stalled, Reason: sourcev1.ReasonGitOperationFailed}},
		"refused":    {err: git.ErrUnauthorized, want: loop.Outcome{Verdict: loop.Failed, Reason: sourcev1.ReasonAuthenticationFailed}},
		"distrusted": {err: git.ErrUntrusted, want: loop.Outcome{Verdict: loop.Failed, Reason: sourcev1.ReasonAuthenticationFailed}},
		"no ref":     {err: git.ErrNoRef, want: loop.Outcome{Verdict: loop.Failed, Reason: sourcev1.ReasonGitOperationFailed}},
		"not found":  {err: git.ErrNotFound, want: loop.Outcome{Verdict: loop.Failed, Reason: sourcev1.ReasonGitOperationFailed}},
		"protocol":   {err: git.ErrProtocol, want: loop.Outcome{Verdict: loop.Failed, Reason: sourcev1.ReasonGitOperationFailed}},
		"anything":   {err: errors.New("x"), want: loop.Outcome{Verdict: loop.Failed, Reason: sourcev1.ReasonGitOperationFailed}},
	}
	for name, tc := range tests {
		got := outcome(t, failed(fmt.Errorf("asking: %w", tc.err)))
		if !errors.Is(got.Err, tc.err) {
			t.Errorf("%s: the error %v hides its cause", name, got.Err)
		}
		if got.Err = nil; got != tc.want {
			t.Errorf("%s: %+v; want %+v", name, got, tc.want)
		}
	}
}

// outcome is how a run ends of which a step returns err. Package loop shows that to
// nobody, but an exported field is there to be looked at.
func outcome(t *testing.T, err error) loop.Outcome {
	t.Helper()
	v := reflect.Indirect(reflect.ValueOf(err))
	if v.Kind() == reflect.Struct {
		if out, ok := v.FieldByName("Outcome").Interface().(loop.Outcome); ok {
			return out
		}
	}
	t.Fatalf("%v (%T) is no outcome of a run", err, err)
	return loop.Outcome{}
}

func TestConditionFor(t *testing.T) {
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
		if got := conditionFor(reason); got != want {
			t.Errorf("%s is of the condition %s; want %s", reason, got, want)
		}
	}
}

func TestSubject(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 50)
	tests := map[string]struct{ why, message, want string }{
		"one line":      {message: "add app\n", want: "add app"},
		"more lines":    {why: "the rest is for those who look", message: "add app\n\nIt was missing.\n", want: "add app"},
		"50 characters": {why: "characters are counted, not bytes", message: long, want: long},
		"51 characters": {message: long + "x", want: long + "..."},
		"empty lines":   {why: "some tools write them first", message: "\n\n add app\n", want: "add app"},
		"nothing":       {message: "", want: ""},
	}
	for name, tc := range tests {
		if got := subject(tc.message); got != tc.want {
			t.Errorf("%s: subject %q; want %q (%s)", name, got, tc.want, tc.why)
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
		path, err := ownPath(repo)
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
			repo.Status.Conditions = []metav1.Condition{{Type: meta.ReadyCondition, Status: ready, Reason: reason, Message: reason}}
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
	published := deed{published: true, subject: "add app"}
	tests := map[string]struct {
		before, after *sourcev1.GitRepository
		out           loop.Outcome
		did           deed
		want          []string // reason, and ! before a warning
	}{
		"first artifact":          {before: state(nil, "", ""), after: state(one, ready, "ok"), did: published, want: []string{"NewArtifact"}},
		"next artifact":           {before: state(one, ready, "ok"), after: state(two, ready, "ok"), did: published, want: []string{"NewArtifact"}},
		"next commit, equal tree": {before: state(one, ready, "ok"), after: state(other, ready, "ok"), did: published, want: []string{"ArtifactUpToDate"}},
		"nothing new":             {before: state(one, ready, "ok"), after: state(one, ready, "ok")},
		"made anew":               {before: state(one, ready, "ok"), after: state(one, ready, "ok"), did: published},
		"made anew after alteration": {
			before: state(one, ready, "ok"), after: state(one, ready, "ok"), did: deed{published: true, altered: errors.New("x")},
			want: []string{"!ArtifactVerificationFailed"},
		},
		"lost by alteration, and failing": {
			before: state(one, ready, "ok"), after: state(nil, failing, "Broken"), did: deed{altered: errors.New("x")}, out: broken,
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
		r := &Reconciler{}
		r.remember(&scope{repo: tc.after, deed: tc.did})
		var got []string
		for _, e := range r.Events(tc.before, tc.after, tc.out) {
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
		if again := r.Events(tc.after, tc.after, loop.Outcome{}); len(again) > 0 && tc.out.Verdict == loop.Succeeded {
			t.Errorf("%s: the next run, which does nothing, tells %v", name, again)
		}
	}
}
