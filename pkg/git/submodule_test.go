package git_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
)

func TestSubmodules(t *testing.T) {
	t.Parallel()
	const one, two = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"
	modules := func(text string) gitserver.Change { return gitserver.File(".gitmodules", text) }
	tests := map[string]struct {
		why  string
		in   []gitserver.Change
		want []git.Submodule
		err  string
	}{
		"none": {why: "most have none", in: []gitserver.Change{gitserver.File("a", "a")}},
		"two": {
			why: "by their paths", in: []gitserver.Change{
				modules("[submodule \"x\"]\n\tpath = lib/x\n\turl = ../x.git\n[submodule \"y\"]\n\tpath = y/\n\turl = https://example.com/y\n\tbranch = main\n"),
				gitserver.Submodule("lib/x", one), gitserver.Submodule("y", two),
			},
			want: []git.Submodule{{Path: "lib/x", URL: "../x.git", Commit: hash(one)}, {Path: "y", URL: "https://example.com/y", Commit: hash(two)}},
		},
		"one by mistake": {why: "git leaves the folder empty", in: []gitserver.Change{gitserver.Submodule("x", one)}},
		"one that was removed": {
			why: "git does not look for it", in: []gitserver.Change{modules("[submodule \"x\"]\n\tpath = x\n\turl = ../x\n")},
		},
		"one without a URL": {
			why: "it cannot be fetched", in: []gitserver.Change{modules("[submodule \"x\"]\n\tpath = x\n"), gitserver.Submodule("x", one)},
		},
		"one with two URLs": {
			why: "either may be meant", err: "two URLs", in: []gitserver.Change{
				modules("[submodule \"x\"]\n\tpath = x\n\turl = ../x\n[submodule \"y\"]\n\tpath = x\n\turl = ../y\n"), gitserver.Submodule("x", one),
			},
		},
		"a path that is outside": {
			why: "no submodule is there", in: []gitserver.Change{modules("[submodule \"x\"]\n\tpath = ../x\n\turl = ../x\n"), gitserver.Submodule("x", one)},
		},
		"a link": {why: "it leads elsewhere", err: "regular file", in: []gitserver.Change{gitserver.Symlink(".gitmodules", "/etc/passwd"), gitserver.Submodule("x", one)}},
		"no configuration": {
			why: "it cannot be read", err: "as git writes it", in: []gitserver.Change{modules("[submodule \"x\npath"), gitserver.Submodule("x", one)},
		},
		"much of it": {
			why: "it is read whole", err: "limit", in: []gitserver.Change{modules(strings.Repeat("#\n", 1<<19+1)), gitserver.Submodule("x", one)},
		},
	}
	_, r, f := serve(t, gitserver.Options{Backend: gitserver.GoGit})
	for name, tc := range tests {
		on := strings.ReplaceAll(name, " ", "-")
		r.Commit(on, name, tc.in...)
		snapshot := f.fetch(branch(on))
		entries, err := snapshot.Entries()
		if err != nil {
			t.Fatal(err)
		}
		got, err := snapshot.Submodules(entries)
		if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("%s: error %v; want %q (%s)", name, err, tc.err, tc.why)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got, %s):\n%s", name, tc.why, diff)
		}
	}
}

func TestSubmoduleURL(t *testing.T) {
	t.Parallel()
	const https, ssh = "https://example.com/team/fleet.git", "ssh://me@example.com:2222/team/fleet.git"
	tests := map[string]struct {
		of, url string
		want    string
		err     error
	}{
		"beside":                 {of: https, url: "../lib.git", want: "https://example.com/team/lib.git"},
		"two folders up":         {of: https, url: "../../other/lib.git", want: "https://example.com/other/lib.git"},
		"below":                  {of: https, url: "./lib", want: "https://example.com/team/fleet.git/lib"},
		"mixed":                  {of: https, url: "./../lib", want: "https://example.com/team/lib"},
		"beside over SSH":        {of: ssh, url: "../lib.git", want: "ssh://example.com:2222/team/lib.git"},
		"too far up":             {of: https, url: "../../../lib.git", err: git.ErrInvalidURL},
		"absolute":               {of: https, url: "https://other.example.com/lib", want: "https://other.example.com/lib"},
		"short":                  {of: ssh, url: "git@example.com:team/lib.git", want: "ssh://example.com/team/lib.git"},
		"short from the root":    {of: ssh, url: "git@example.com:/lib.git", want: "ssh://example.com/lib.git"},
		"short without SSH":      {of: https, url: "git@example.com:team/lib.git", err: git.ErrUnauthorized},
		"a folder":               {of: https, url: "/srv/lib", err: git.ErrInvalidURL},
		"a file":                 {of: https, url: "file:///srv/lib", err: git.ErrInvalidURL},
		"a program":              {of: https, url: "ext::sh -c true", err: git.ErrInvalidURL},
		"an option":              {of: https, url: "--upload-pack=true", err: git.ErrInvalidURL},
		"a protocol without TLS": {of: https, url: "git://example.com/lib", err: git.ErrInvalidURL},
	}
	key, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range tests {
		c := creds.Git{}
		if tc.of == ssh {
			c.SSH = creds.NewSSH(key.Signer(), []byte("known"))
		}
		got, err := remoteAt(t, tc.of, c).Submodule(tc.url)
		if !errors.Is(err, tc.err) {
			t.Errorf("%s: error %v; want %v", name, err, tc.err)
		}
		if err == nil && got.String() != tc.want {
			t.Errorf("%s: %s; want %s", name, got, tc.want)
		}
	}
}

// Credentials go to the host that they are for, and to no other.
func TestSubmoduleCredentials(t *testing.T) {
	t.Parallel()
	basic := creds.Git{Username: creds.Hide("user"), Password: creds.Hide("password"), TLS: creds.TLS{CA: []byte("ca")}}
	tests := map[string]struct {
		of, url string
		same    bool // as those of the repository
	}{
		"beside":             {of: "https://example.com/fleet", url: "../lib", same: true},
		"of the same host":   {of: "https://example.com/fleet", url: "https://example.com/other/lib", same: true},
		"of another host":    {of: "https://example.com/fleet", url: "https://example.org/lib"},
		"of a host below":    {of: "https://example.com/fleet", url: "https://x.example.com/lib"},
		"of another port":    {of: "https://example.com/fleet", url: "https://example.com:8443/lib"},
		"without encryption": {of: "https://example.com/fleet", url: "http://example.com/lib"},
	}
	for name, tc := range tests {
		got, err := remoteAt(t, tc.of, basic).Submodule(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		c := creds.Git{TLS: creds.TLS{CA: basic.TLS.CA}}
		if tc.same {
			c = basic
		}
		if want := remoteAt(t, got.String(), c); got.Key() != want.Key() {
			t.Errorf("%s: it is asked by other credentials than it should (those of the repository: %t)", name, tc.same)
		}
	}
}

func FuzzModules(f *testing.F) {
	for _, seed := range []string{"[submodule \"x\"]\n\tpath = x\n\turl = ../x\n", "[submodule", "[submodule \"\"]\npath=\\\n", "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		urls, err := git.ParseModules(text)
		for at, url := range urls {
			if err != nil || at == "" || url == "" {
				t.Errorf("submodule %q at %q, and error %v", at, url, err)
			}
		}
	})
}
