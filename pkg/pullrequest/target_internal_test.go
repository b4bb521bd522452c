package pullrequest

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

// locate is Locate for a test.
func locate(t *testing.T, kind Kind, api, remote string) (Target, error) {
	t.Helper()
	s := Settings{Kind: kind}
	if api != "" {
		var err error
		if s.API, err = parseAPI(api); err != nil {
			t.Fatal(err)
		}
	}
	return Locate(s, remote)
}

func TestLocate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why         string
		kind        Kind
		api, remote string
		base        string
		project     string // escaped
		theirs      bool   // the API is not at the remote's host
	}{
		"GitHub's own":                   {why: "its API has a host of its own", kind: GitHub, remote: "https://github.com/team/app.git", base: "https://api.github.com", project: "team/app"},
		"GitHub's own, over SSH":         {why: "the user is nobody's matter", kind: GitHub, remote: "ssh://git@github.com/team/app.git", base: "https://api.github.com", project: "team/app"},
		"GitHub's own, past a firewall":  {why: "port 443 has another name", kind: GitHub, remote: "ssh://git@ssh.github.com:443/team/app", base: "https://api.github.com", project: "team/app"},
		"GitHub's own, in capitals":      {why: "hosts have no case", kind: GitHub, remote: "https://GitHub.com/Team/App/", base: "https://api.github.com", project: "Team/App"},
		"GitHub with data residency":     {why: "as GitHub's own", kind: GitHub, remote: "https://octo.ghe.com/team/app", base: "https://api.octo.ghe.com", project: "team/app"},
		"GitHub Enterprise":              {why: "its API is below the pages", kind: GitHub, remote: "https://git.example.com:8443/team/app.git", base: "https://git.example.com:8443/api/v3", project: "team/app"},
		"GitLab":                         {why: "two names are the least", kind: GitLab, remote: "https://gitlab.com/team/app.git", base: "https://gitlab.com/api/v4", project: "team/app"},
		"GitLab, past a firewall":        {why: "port 443 has another name", kind: GitLab, remote: "ssh://git@altssh.gitlab.com:443/team/app.git", base: "https://gitlab.com/api/v4", project: "team/app"},
		"GitLab with nested groups":      {why: "all of the path is the name", kind: GitLab, remote: "ssh://git@git.example.com:2222/a/b/c/app.git", base: "https://git.example.com/api/v4", project: "a/b/c/app"},
		"GitLab below a path":            {why: "the annotation tells path and groups apart", kind: GitLab, api: "https://git.example.com/lab/api/v4", remote: "https://git.example.com/lab/a/b/app.git", base: "https://git.example.com/lab/api/v4", project: "a/b/app"},
		"GitLab below a path, over SSH":  {why: "SSH knows no such path", kind: GitLab, api: "https://git.example.com/lab/api/v4", remote: "ssh://git@git.example.com/a/b/app.git", base: "https://git.example.com/lab/api/v4", project: "a/b/app"},
		"Gitea":                          {why: "plain http stays so", kind: Gitea, remote: "http://git.example.com:3000/team/app.git", base: "http://git.example.com:3000/api/v1", project: "team/app"},
		"Gitea below a path":             {why: "owner and name are the last two", kind: Gitea, remote: "https://example.com/forge/git/team/app", base: "https://example.com/forge/git/api/v1", project: "team/app"},
		"Gitea below a path, over SSH":   {why: "SSH knows no such path", kind: Gitea, api: "https://example.com/forge/api/v1", remote: "ssh://git@example.com:2222/team/app.git", base: "https://example.com/forge/api/v1", project: "team/app"},
		"another host":                   {why: "it must not have the Git credentials", kind: Gitea, api: "https://api.example.org", remote: "https://git.example.com/team/app.git", base: "https://api.example.org", project: "team/app", theirs: true},
		"another port":                   {why: "it may be another's", kind: Gitea, api: "https://git.example.com:8443/api/v1", remote: "https://git.example.com/team/app.git", base: "https://git.example.com:8443/api/v1", project: "team/app", theirs: true},
		"the same without encryption":    {why: "credentials of https stay encrypted", kind: Gitea, api: "http://git.example.com/api/v1", remote: "https://git.example.com/team/app.git", base: "http://git.example.com/api/v1", project: "team/app", theirs: true},
		"GitHub's API by its own name":   {why: "that is where it would be anyway", kind: GitHub, api: "https://api.github.com/", remote: "https://github.com/team/app.git", base: "https://api.github.com", project: "team/app"},
		"a name that needs escapes":      {why: "it is one name, whatever is in it", kind: GitLab, remote: "https://git.example.com/te%20am/a%3Fp%23p%25", base: "https://git.example.com/api/v4", project: "te%20am/a%3Fp%23p%25"},
		"an address":                     {why: "of version 6", kind: Gitea, remote: "ssh://git@[::1]:22/team/app", base: "https://[::1]/api/v1", project: "team/app"},
		"a user name and password":       {why: "they are no part of where it is", kind: Gitea, remote: "https://me:secret@git.example.com/team/app", base: "https://git.example.com/api/v1", project: "team/app"},
		"a name that ends with a suffix": {why: "one is cut off", kind: Gitea, remote: "https://git.example.com/team/app.git.git", base: "https://git.example.com/api/v1", project: "team/app.git"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, err := locate(t, tc.kind, tc.api, tc.remote)
			if err != nil {
				t.Fatalf("%v (%s)", err, tc.why)
			}
			if got := target.base.String(); got != tc.base || target.escaped() != tc.project || target.ours == tc.theirs {
				t.Errorf("API %s of %s, ours %v; want %s of %s, ours %v (%s)", got, target.escaped(), target.ours, tc.base, tc.project, !tc.theirs, tc.why)
			}
		})
	}
}

func TestLocateRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why          string
		kind         Kind
		remote, says string
	}{
		"no URL":            {why: "the reason quotes no password", kind: GitHub, remote: "https://me:secret@ho st/x", says: "invalid URL"},
		"no owner":          {why: "there is none to ask for", kind: GitHub, remote: "https://github.com/app", says: "owner/name"},
		"more than a name":  {why: "GitHub has no groups", kind: GitHub, remote: "https://git.example.com/a/b/c", says: APIAnnotation},
		"more, over SSH":    {why: "SSH knows no path to be below", kind: Gitea, remote: "ssh://git@git.example.com/a/b/c", says: APIAnnotation},
		"no group":          {why: "each project has one", kind: GitLab, remote: "https://gitlab.com/app.git", says: "group"},
		"a way out":         {why: "the request would be another", kind: GitLab, remote: "https://gitlab.com/team/../app", says: "leads elsewhere"},
		"a hidden way out":  {why: "also if it is escaped", kind: GitLab, remote: "https://gitlab.com/team/%2e%2e/app", says: "leads elsewhere"},
		"an empty name":     {why: "it may be read as none", kind: GitLab, remote: "https://gitlab.com/team//app", says: "is empty"},
		"a line break":      {why: "no name has one", kind: GitLab, remote: "https://gitlab.com/team/a%0ab", says: "control character"},
		"a suffix alone":    {why: "it is no name", kind: GitLab, remote: "https://gitlab.com/team/.git", says: "no name"},
		"not a Git remote":  {why: "nothing is known of it", kind: GitLab, remote: "file:///team/app", says: "scheme"},
		"no kind of theirs": {why: "the caller asked for nothing", kind: "", remote: "https://gitlab.com/app", says: "owner/name"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, err := locate(t, tc.kind, "", tc.remote)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s, error %v; want one that says %q (%s)", target, err, tc.says, tc.why)
			}
		})
	}
}

// FuzzLocate: whatever a remote's URL is, the API is asked at the host of it, for a
// repository that is named in full, and nothing that lets in is in what is asked.
func FuzzLocate(f *testing.F) {
	for _, remote := range []string{
		"https://github.com/team/app.git", "ssh://git@ssh.github.com:443/team/app", "https://gitlab.com/a/b/c/d.git",
		"http://u:p@127.0.0.1:3000/x/y/z", "ssh://[::1]:22/a/b", "https://h/%2e%2e/%2F/a", "https://h/a%3Fb/c%23d", "https://x.ghe.com/a/b",
		"https://h%41/a/b", "ssh://[fe80::1%25eth0]/a/b", "https://h/a/b;c=d", "https://h:/a/b",
	} {
		for _, api := range []string{"", "https://api.example.com/x/api/v4"} {
			f.Add(remote, api)
		}
	}
	f.Fuzz(func(t *testing.T, remote, api string) {
		s := Settings{}
		if api != "" {
			var err error
			if s.API, err = parseAPI(api); err != nil {
				return
			}
		}
		for _, s.Kind = range []Kind{GitHub, GitLab, Gitea} {
			target, err := Locate(s, remote)
			if err != nil {
				if !errors.Is(err, ErrInvalid) {
					t.Errorf("%q: error %v", remote, err)
				}
				continue
			}
			checkTarget(t, s, target, remote)
		}
	})
}

func checkTarget(t *testing.T, s Settings, target Target, remote string) {
	t.Helper()
	from, err := url.Parse(remote)
	if err != nil {
		t.Fatalf("%q was taken: %v", remote, err)
	}
	host := strings.ToLower(from.Hostname())
	for _, name := range target.project {
		if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
			t.Errorf("%q: the repository is %q", remote, target.project)
		}
	}
	req, err := (caller{target: target}).request(t.Context(), "GET", github{caller{target: target}}.path(), url.Values{"state": {"all"}}, nil)
	if err != nil {
		// A host that net/url takes and net/http does not: nothing is asked.
		return
	}
	asked := req.URL.Hostname()
	if s.API == nil && asked != host && asked != "api."+host && "ssh."+asked != host && "altssh."+asked != host &&
		"ssh."+strings.TrimPrefix(asked, "api.") != host && "api."+strings.TrimPrefix(host, "www.") != asked {
		t.Errorf("%q: %s is asked", remote, asked)
	}
	if target.ours && s.API != nil && s.API.Hostname() != host && s.API.Hostname() != "api."+strings.TrimPrefix(strings.TrimPrefix(host, "www."), "ssh.") && "altssh."+s.API.Hostname() != host && "ssh."+s.API.Hostname() != host {
		t.Errorf("%q: credentials go to %s", remote, s.API)
	}
	if req.URL.User != nil || req.URL.Fragment != "" || req.URL.RawQuery != "state=all" || !strings.HasSuffix(req.URL.EscapedPath(), "/"+target.escaped()+"/pulls") {
		t.Errorf("%q: %s is asked", remote, req.URL)
	}
}
