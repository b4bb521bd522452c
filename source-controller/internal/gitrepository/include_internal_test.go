package gitrepository

import (
	"strings"
	"testing"

	"github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/git"
)

func TestInside(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ path, want string }{
		"default":       {want: "name"},
		"plain":         {path: "a/b", want: "a/b"},
		"not clean":     {path: "./a//b/../c/", want: "a/c"},
		"absolute":      {path: "/etc/passwd", want: "etc/passwd"},
		"out":           {path: "../../etc", want: "etc"},
		"out and in":    {path: "a/../../../b", want: "b"},
		"root":          {path: "/", want: "."},
		"another root":  {path: "a/..", want: "."},
		"only dots":     {path: "..", want: "."},
		"odd but legal": {path: "...", want: "..."},
	}
	for name, tc := range tests {
		if got, err := inside(tc.path, "name"); got != tc.want || err != nil {
			t.Errorf("%s: inside(%q) = %q, %v; want %q", name, tc.path, got, err, tc.want)
		}
	}
	for _, bad := range []string{"a\x00b", strings.Repeat("a", maxPath+1)} {
		if got, err := inside(bad, "name"); err == nil {
			t.Errorf("inside(%.10q) = %.10q; want an error", bad, got)
		}
	}
}

func TestOverlay(t *testing.T) {
	t.Parallel()
	files := func(from string, paths ...string) []file {
		var all []file
		for _, p := range paths {
			bare, dir := strings.CutSuffix(p, "/")
			all = append(all, file{Entry: git.Entry{Path: bare, Dir: dir}, named: from})
		}
		return all
	}
	tests := map[string]struct {
		why        string
		have, over []file
		want       map[string]string // from where each is
		err        bool
	}{
		"beside":              {have: files("1", "a"), over: files("2", "b/", "b/c"), want: map[string]string{"a": "1", "b": "2", "b/c": "2"}},
		"over a file":         {have: files("1", "a"), over: files("2", "a"), want: map[string]string{"a": "2"}},
		"into a folder":       {have: files("1", "a/", "a/b"), over: files("2", "a/", "a/c"), want: map[string]string{"a": "1", "a/b": "1", "a/c": "2"}},
		"a file for a folder": {why: "what is in it would be lost", have: files("1", "a/", "a/b"), over: files("2", "a"), err: true},
		"a folder for a file": {why: "the file would be lost", have: files("1", "a"), over: files("2", "a/", "a/b"), err: true},
		"below a file":        {why: "there is no folder", have: files("1", "a"), over: files("2", "a/b/c"), err: true},
	}
	for name, tc := range tests {
		all, err := overlay(tc.have, tc.over)
		if (err != nil) != tc.err {
			t.Errorf("%s: error %v; want one: %t (%s)", name, err, tc.err, tc.why)
			continue
		}
		var got map[string]string
		for _, f := range all {
			if got == nil {
				got = make(map[string]string)
			}
			got[f.Path] = f.named
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestIncludesChanged(t *testing.T) {
	t.Parallel()
	one, two := meta.Artifact{Revision: "main@sha1:1", Digest: "sha256:1"}, meta.Artifact{Revision: "main@sha1:2", Digest: "sha256:2"}
	same, again := one, one
	again.Digest = "sha256:3"
	same.LastUpdateTime.Time = same.LastUpdateTime.Add(1)
	in := sourcev1.GitRepositoryInclude{Repository: meta.LocalObjectReference{Name: "b"}}
	other := in
	other.ToPath = "x"
	tests := map[string]struct {
		spec, observed []sourcev1.GitRepositoryInclude
		was, now       []meta.Artifact
		want           bool
	}{
		"none":             {},
		"the same":         {spec: in1(in), observed: in1(in), was: in1(one), now: in1(same)},
		"the first":        {spec: in1(in), now: in1(one), want: true},
		"none any more":    {observed: in1(in), was: in1(one), want: true},
		"another path":     {spec: in1(other), observed: in1(in), was: in1(one), now: in1(one), want: true},
		"another revision": {spec: in1(in), observed: in1(in), was: in1(one), now: in1(two), want: true},
		"another digest":   {spec: in1(in), observed: in1(in), was: in1(one), now: in1(again), want: true},
		"never recorded":   {spec: in1(in), observed: in1(in), now: in1(one), want: true},
	}
	for name, tc := range tests {
		repo := &sourcev1.GitRepository{}
		repo.Spec.Include, repo.Status.ObservedInclude, repo.Status.IncludedArtifacts = tc.spec, tc.observed, tc.was
		var now []include
		for i := range tc.now {
			now = append(now, include{repo: &sourcev1.GitRepository{Status: sourcev1.GitRepositoryStatus{Artifact: &tc.now[i]}}})
		}
		if got := includesChanged(repo, now); got != tc.want {
			t.Errorf("%s: changed is %t; want %t", name, got, tc.want)
		}
	}
}

func in1[T any](v T) []T { return []T{v} }
