package git_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// world is a repository with a ref of every kind, and what a remote tells of it.
type world struct {
	refs  git.Refs
	revs  map[string]string // of commits, by what is there
	label map[string]string // the objects of annotated tags
}

func newWorld(t *testing.T, opts gitserver.Options) world {
	t.Helper()
	s := gitservertest.Start(t, opts)
	r := s.Repo("fleet")
	w := world{revs: make(map[string]string), label: make(map[string]string)}
	w.revs["old"] = r.Commit("main", "one", gitserver.File("a", "1"))
	r.Tag("v1.2.3", w.revs["old"])
	w.label["signed"] = r.TagAnnotated("signed", w.revs["old"], "signed")
	w.revs["main"] = r.Commit("main", "two", gitserver.File("a", "2"))
	w.label["v1.10.0"] = r.TagAnnotated("v1.10.0", w.revs["main"], "ten")
	w.revs["master"] = r.Commit("master", "other", gitserver.File("b", "1"))
	w.revs["team/app"] = r.Commit("team/app", "app", gitserver.File("c", "1"))
	// What came later has a lower version, and what is higher is none of three parts.
	for _, tag := range []string{"1.9.9", "v2", "v3.0", "release-4.0.0", "v5.0.0.1", "vv6.0.0", "7.0.x", "v2.0.0-rc.1", "nightly"} {
		r.Tag(tag, w.revs["old"])
	}
	r.Tag("8.1.0+a", w.revs["old"])
	w.label["8.1.0+b"] = r.TagAnnotated("8.1.0+b", w.revs["main"], "b")
	r.Tag("v8.1.0", w.revs["master"])
	r.SetDefault("main")
	// A tag and a branch of one name.
	r.Tag("main", w.revs["old"])
	r.SetRef("refs/pull/42/head", w.revs["team/app"])
	f := follow(t, remoteAt(t, s.URL("fleet"), creds.Git{}))
	conn, err := f.dial()
	if err != nil {
		t.Fatal(err)
	}
	w.refs = conn.Refs
	return w
}

// want is a target.
type want struct {
	revision     string // with the name of a commit for its hash
	object       string // what is asked for, if it is a tag
	unadvertised bool
}

// named puts the hash for the name of a commit at the end of s.
func (w world) named(s string) string {
	if i := strings.LastIndexAny(s, ":") + 1; w.revs[s[i:]] != "" {
		return s[:i] + w.revs[s[i:]]
	}
	return s
}

// resolve returns what a reference means.
func (w world) resolve(ref git.Reference) ([]want, error) {
	ref.Commit = w.named(ref.Commit)
	targets, err := ref.Resolve(w.refs)
	var got []want
	for _, target := range targets {
		g := want{revision: target.Revision(), unadvertised: target.Unadvertised}
		if target.Want != target.Commit {
			g.object = target.Want.String()
		}
		got = append(got, g)
	}
	return got, err
}

func TestResolve(t *testing.T) {
	t.Parallel()
	const gone = "00000000000000000000000000000000000000ff"
	tests := map[string]struct {
		why  string
		ref  git.Reference
		want []want
	}{
		"nothing":       {why: "what the API calls the default", want: []want{{revision: "master@sha1:master"}}},
		"branch":        {ref: branch("main"), want: []want{{revision: "main@sha1:main"}}},
		"branch, slash": {ref: branch("team/app"), want: []want{{revision: "team/app@sha1:team/app"}}},
		"tag":           {ref: git.Reference{Tag: "v1.2.3"}, want: []want{{revision: "v1.2.3@sha1:old"}}},
		"annotated tag": {why: "the revision has the commit, and the remote is asked for the tag", ref: git.Reference{Tag: "signed"}, want: []want{{revision: "signed@sha1:old", object: "signed"}}},
		"tag main":      {why: "the branch of that name is another", ref: git.Reference{Tag: "main"}, want: []want{{revision: "main@sha1:old"}}},

		"semver":            {why: "1.10 is more than 1.9, and an annotated tag counts", ref: git.Reference{SemVer: "1.x"}, want: []want{{revision: "v1.10.0@sha1:main", object: "v1.10.0"}}},
		"semver, patch":     {ref: git.Reference{SemVer: "~1.2"}, want: []want{{revision: "v1.2.3@sha1:old"}}},
		"semver, no v":      {ref: git.Reference{SemVer: ">=1.3 <1.10"}, want: []want{{revision: "1.9.9@sha1:old"}}},
		"semver, two parts": {why: "tags of fewer parts are no versions, nor are those with more", ref: git.Reference{SemVer: ">=1.0.0 <8.0.0"}, want: []want{{revision: "v1.10.0@sha1:main", object: "v1.10.0"}}},
		"semver, pre":       {why: "pre-releases only for who asks for them", ref: git.Reference{SemVer: ">=1.10.0-0 <3.0.0"}, want: []want{{revision: "v2.0.0-rc.1@sha1:old"}}},
		"semver, ties": {
			why: "build metadata has no precedence: the commits decide, which are not here yet", ref: git.Reference{SemVer: "8.1.0"},
			want: []want{{revision: "8.1.0+a@sha1:old"}, {revision: "8.1.0+b@sha1:main", object: "8.1.0+b"}, {revision: "v8.1.0@sha1:master"}},
		},

		"name, branch":       {why: "the whole ref is kept", ref: git.Reference{Name: "refs/heads/main"}, want: []want{{revision: "refs/heads/main@sha1:main"}}},
		"name, tag":          {ref: git.Reference{Name: "refs/tags/signed"}, want: []want{{revision: "refs/tags/signed@sha1:old", object: "signed"}}},
		"name, peeled":       {why: "some write the tag as ls-remote shows its commit", ref: git.Reference{Name: "refs/tags/signed^{}"}, want: []want{{revision: "refs/tags/signed@sha1:old", object: "signed"}}},
		"name, HEAD":         {why: "what the remote calls its default", ref: git.Reference{Name: "HEAD"}, want: []want{{revision: "HEAD@sha1:main"}}},
		"name, pull request": {ref: git.Reference{Name: "refs/pull/42/head"}, want: []want{{revision: "refs/pull/42/head@sha1:team/app"}}},

		"commit":            {ref: git.Reference{Commit: "main"}, want: []want{{revision: "sha1:main"}}},
		"commit, branch":    {ref: git.Reference{Commit: "main", Branch: "main"}, want: []want{{revision: "main@sha1:main"}}},
		"commit, below tip": {why: "it takes a look at the history", ref: git.Reference{Commit: gone, Branch: "main"}, want: []want{{revision: "main@sha1:" + gone, unadvertised: true}}},

		"commit first": {ref: git.Reference{Commit: "main", Name: "refs/heads/master", Tag: "v1.2.3", SemVer: "1.x"}, want: []want{{revision: "sha1:main"}}},
		"name second":  {ref: git.Reference{Name: "refs/heads/main", Tag: "v1.2.3", SemVer: "8.1.0", Branch: "master"}, want: []want{{revision: "refs/heads/main@sha1:main"}}},
		"tag third":    {ref: git.Reference{Tag: "v1.2.3", SemVer: "8.1.0", Branch: "master"}, want: []want{{revision: "v1.2.3@sha1:old"}}},
		"semver next":  {ref: git.Reference{SemVer: "~1.2", Branch: "main"}, want: []want{{revision: "v1.2.3@sha1:old"}}},
	}
	eachBackend(t, func(t *testing.T, opts gitserver.Options) {
		w := newWorld(t, opts)
		for name, tc := range tests {
			got, err := w.resolve(tc.ref)
			if err != nil {
				t.Errorf("%s: %v (%s)", name, err, tc.why)
				continue
			}
			var wanted []want
			for _, want := range tc.want {
				want.revision, want.object = w.named(want.revision), w.label[want.object]
				wanted = append(wanted, want)
			}
			if diff := cmp.Diff(wanted, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s: targets (-want +got):\n%s%s", name, diff, tc.why)
			}
		}
		// The commit of a tag is handed out with the tag, be it on a branch or not.
		targets, err := git.Reference{Commit: w.revs["old"]}.Resolve(w.refs)
		if err != nil || targets[0].Unadvertised || targets[0].Commit != hash(w.revs["old"]) {
			t.Errorf("the commit of a tag: %+v, %v", targets, err)
		}
	})
}

func TestResolveRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gitserver.Options{Backend: gitserver.GoGit})
	rev := w.revs["main"]
	tests := map[string]struct {
		why  string
		ref  git.Reference
		is   error
		says string
	}{
		"branch":             {ref: branch("nope"), is: git.ErrNoRef, says: `branch "nope"`},
		"branch by full ref": {why: "that is what name is for", ref: branch("refs/heads/main"), is: git.ErrNoRef, says: `branch "refs/heads/main"`},
		"tag":                {ref: git.Reference{Tag: "nope"}, is: git.ErrNoRef, says: `tag "nope"`},
		"tag of a branch":    {ref: git.Reference{Tag: "master"}, is: git.ErrNoRef, says: `tag "master"`},
		"name":               {ref: git.Reference{Name: "refs/heads/nope"}, is: git.ErrNoRef, says: "unable to resolve ref 'refs/heads/nope' to a specific commit"},
		"name, short":        {ref: git.Reference{Name: "main"}, is: git.ErrNoRef, says: "unable to resolve ref 'main' to a specific commit"},
		"semver, none":       {ref: git.Reference{SemVer: ">=9.0.0"}, is: git.ErrNoRef, says: "no match found for semver: >=9.0.0"},
		"semver, branches":   {why: "no tag stands in for it", ref: git.Reference{SemVer: "99", Branch: "main"}, is: git.ErrNoRef, says: "no match found for semver: 99"},
		"semver, no range":   {ref: git.Reference{SemVer: "one"}, is: git.ErrInvalidReference, says: `"one"`},
		"commit, short":      {ref: git.Reference{Commit: rev[:10]}, is: git.ErrInvalidReference, says: "40"},
		"commit, long":       {ref: git.Reference{Commit: rev + "0"}, is: git.ErrInvalidReference, says: "40"},
		"commit, letters":    {ref: git.Reference{Commit: strings.Repeat("x", 40)}, is: git.ErrInvalidReference, says: "40"},
		"commit, upper case": {why: "the revision would not be what the artifact is called", ref: git.Reference{Commit: strings.ToUpper(rev)}, is: git.ErrInvalidReference, says: "40"},
		"commit, line":       {ref: git.Reference{Commit: rev + "\n"}, is: git.ErrInvalidReference, says: "40"},
		"commit, no branch":  {ref: git.Reference{Commit: rev, Branch: "nope"}, is: git.ErrNoRef, says: `branch "nope"`},
		"commit, bad first":  {why: "what comes after is not tried", ref: git.Reference{Commit: "x", Branch: "main", Tag: "v1.2.3"}, is: git.ErrInvalidReference, says: "40"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			targets, err := tc.ref.Resolve(w.refs)
			if !errors.Is(err, tc.is) {
				t.Fatalf("%v, %v; want %v (%s)", targets, err, tc.is, tc.why)
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%q does not say %q", err, tc.says)
			}
		})
	}
}

// TestNewestOfTies: the caller fetches all of equal precedence, and takes the newest.
func TestNewestOfTies(t *testing.T) {
	t.Parallel()
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	r := s.Repo("fleet")
	first := r.Commit("main", "one", gitserver.File("a", "1"))
	r.Tag("1.0.0+z", first)
	second := r.Commit("main", "two", gitserver.File("a", "2"))
	r.Tag("1.0.0+a", second)
	f := follow(t, remoteAt(t, s.URL("fleet"), creds.Git{}))
	conn, err := f.dial()
	if err != nil {
		t.Fatal(err)
	}
	targets, err := git.Reference{SemVer: "*"}.Resolve(conn.Refs)
	if err != nil || len(targets) != 2 {
		t.Fatalf("%v, %v; want two targets", targets, err)
	}
	newest := ""
	var when int64
	for _, target := range targets {
		conn, err := f.dial()
		if err != nil {
			t.Fatal(err)
		}
		snapshot, err := f.store().Fetch(soon(t), conn, target)
		if err != nil {
			t.Fatal(err)
		}
		if at := snapshot.Commit.Committer.When.Unix(); at > when {
			when, newest = at, target.Revision()
		}
	}
	if want := "1.0.0+a@sha1:" + second; newest != want {
		t.Errorf("the newest is %s, want %s", newest, want)
	}
}
