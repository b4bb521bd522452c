package artifact_test

import (
	"strings"
	"testing"

	"weir.dev/pkg/artifact"
)

func TestParseRevision(t *testing.T) {
	long := strings.Repeat("0f", 32)
	tests := map[string]struct {
		why  string
		in   string
		want artifact.Revision
		wire string // what String returns; empty means in
		err  string
	}{
		"branch":              {why: "what a GitRepository publishes", in: "main@sha1:" + commit, want: artifact.Revision{Name: "main", Algorithm: "sha1", Hex: commit}},
		"commit":              {why: "a reference by commit has no name", in: "sha1:" + commit, want: artifact.Revision{Algorithm: "sha1", Hex: commit}},
		"full ref":            {why: "a reference by name keeps all of it", in: "refs/heads/main@sha1:" + commit, want: artifact.Revision{Name: "refs/heads/main", Algorithm: "sha1", Hex: commit}},
		"bucket":              {why: "the checksum of an index", in: "sha256:" + long, want: artifact.Revision{Algorithm: "sha256", Hex: long}},
		"image tag":           {why: "what an OCIRepository publishes", in: "v1.2.3@sha256:" + long, want: artifact.Revision{Name: "v1.2.3", Algorithm: "sha256", Hex: long}},
		"name with an at":     {why: "Git allows it in a branch", in: "me@home@sha1:" + commit, want: artifact.Revision{Name: "me@home", Algorithm: "sha1", Hex: commit}},
		"old branch form":     {why: "a status written before the current form", in: "main/" + commit, want: artifact.Revision{Name: "main", Algorithm: "sha1", Hex: commit}, wire: "main@sha1:" + commit},
		"old form, slashes":   {why: "branches contain slashes", in: "feature/x/" + commit, want: artifact.Revision{Name: "feature/x", Algorithm: "sha1", Hex: commit}, wire: "feature/x@sha1:" + commit},
		"old detached form":   {why: "HEAD was no branch", in: "HEAD/" + commit, want: artifact.Revision{Algorithm: "sha1", Hex: commit}, wire: "sha1:" + commit},
		"old bare sum":        {why: "a bucket's revision once", in: long, want: artifact.Revision{Algorithm: "sha256", Hex: long}, wire: "sha256:" + long},
		"refuses a version":   {why: "a chart's revision has no checksum", in: "1.2.3", err: `"1.2.3"`},
		"refuses no name":     {why: "the at promises one", in: "@sha1:" + commit, err: "name@algorithm:hex"},
		"refuses a short sum": {why: "an abbreviated commit is ambiguous", in: "main@sha1:51fd7e6", err: "name@algorithm:hex"},
		"refuses a wrong sum": {why: "the length belongs to another algorithm", in: "main@sha256:" + commit, err: "name@algorithm:hex"},
		"refuses other hex":   {why: "two spellings of one commit would differ", in: "main@sha1:" + strings.ToUpper(commit), err: "name@algorithm:hex"},
		"refuses a root name": {why: "a leading slash leaves no name", in: "/" + commit, err: "name@algorithm:hex"},
		"refuses nothing":     {why: "an unset status", in: "", err: `""`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := artifact.ParseRevision(tc.in)
			if got != tc.want || !says(err, tc.err) {
				t.Fatalf("ParseRevision(%q) = %+v, %v; want %+v, %q (%s)", tc.in, got, err, tc.want, tc.err, tc.why)
			}
			wire := tc.wire
			if wire == "" {
				wire = tc.in
			}
			if err == nil && got.String() != wire {
				t.Errorf("String() = %q, want %q (%s)", got, wire, tc.why)
			}
		})
	}
}

func TestSameRevision(t *testing.T) {
	tests := map[string]struct {
		why  string
		a, b string
		want bool
	}{
		"equal":                {why: "no form is needed to see it", a: "1.2.3", b: "1.2.3", want: true},
		"old and new":          {why: "a migrated status needs no new artifact", a: "main/" + commit, b: "main@sha1:" + commit, want: true},
		"detached and new":     {why: "HEAD named no branch", a: "HEAD/" + commit, b: "sha1:" + commit, want: true},
		"other branch":         {why: "the name is part of the revision", a: "dev@sha1:" + commit, b: "main@sha1:" + commit},
		"opaque ones differ":   {why: "a third party's form is not ours to read", a: "release-1", b: "release-01"},
		"opaque and parseable": {why: "only one is a checksum", a: "release-1", b: "sha1:" + commit},
		"parseable and opaque": {why: "only one is a checksum", a: "sha1:" + commit, b: "release-1"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := artifact.SameRevision(tc.a, tc.b); got != tc.want {
				t.Errorf("SameRevision(%q, %q) = %v (%s)", tc.a, tc.b, got, tc.why)
			}
		})
	}
}
