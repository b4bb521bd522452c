package gitrepository

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/git"
	"weir.dev/pkg/loop"
)

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
