package git_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		url  string
		says string // of the error; "" means that there is none
	}{
		"http":        {url: "http://example.com/org/repo"},
		"https":       {url: "https://example.com:8443/org/repo.git"},
		"ssh":         {url: "ssh://git@example.com:2222/org/repo"},
		"userinfo":    {url: "https://me:pw@example.com/org/repo"},
		"upper case":  {why: "a scheme has no case", url: "HTTPS://example.com/org/repo"},
		"six":         {url: "ssh://git@[::1]:22/repo"},
		"scp":         {why: "the API takes URLs only", url: "git@example.com:org/repo", says: "cannot be parsed"},
		"file":        {why: "that is the controller's own disk", url: "file:///etc/repo", says: `"file"`},
		"git":         {url: "git://example.com/repo", says: `"git"`},
		"no scheme":   {url: "example.com/org/repo", says: `""`},
		"path":        {url: "/srv/repo", says: `""`},
		"empty":       {url: "", says: `""`},
		"no host":     {url: "https:///org/repo", says: "no host"},
		"port only":   {url: "https://:443/org/repo", says: "no host"},
		"opaque":      {url: "https:example.com/repo", says: "no host"},
		"no path":     {url: "https://example.com", says: "no path"},
		"slash":       {url: "https://example.com//", says: "no path"},
		"query":       {url: "https://example.com/repo?ref=main", says: "query"},
		"fragment":    {url: "https://example.com/repo#main", says: "fragment"},
		"port":        {url: "https://example.com:web/repo", says: "port"},
		"escape":      {url: "https://example.com/%zz", says: "%zz"},
		"control":     {url: "https://example.com/re\npo", says: "control"},
		"space":       {url: "https://exa mple.com/repo", says: "invalid character"},
		"token":       {why: "the scheme of that is a token", url: "tokenvalue:x-oauth-basic@example.com/repo", says: "scheme"},
		"slash in pw": {why: "what is before it looks like a port", url: "https://me:pw-value/tokenvalue@example.com/repo", says: "cannot be parsed"},
		"escape in pw": {why: "a bad escape is quoted otherwise", url: "https://me:tokenvalue%zz@example.com/repo",
			says: "cannot be parsed"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := git.ParseURL(tc.url)
			switch {
			case tc.says == "" && err != nil:
				t.Errorf("%v (%s)", err, tc.why)
			case tc.says == "":
				return
			case !errors.Is(err, git.ErrInvalidURL):
				t.Errorf("%v, %v; want ErrInvalidURL (%s)", u, err, tc.why)
			case !strings.Contains(err.Error(), tc.says):
				t.Errorf("%q does not say %q", err, tc.says)
			case strings.Contains(err.Error(), "pw-value") || strings.Contains(err.Error(), "tokenvalue"):
				t.Errorf("%q tells a secret", err)
			}
			if _, err := git.NewRemote(tc.url, creds.Git{}); !errors.Is(err, git.ErrInvalidURL) {
				t.Errorf("NewRemote: %v, want ErrInvalidURL", err)
			}
		})
	}
}

// FuzzParseURL looks for a password, of whatever form, that an error or a Remote tells.
func FuzzParseURL(f *testing.F) {
	for _, password := range []string{"secret", "s3cr/et", "se%zzcret", "se#cret", "se?cret", "se@cret", "se cret", "se:cret", "12345/67", "se\ncret", "[secret]", "\x7f", "sé", "%41%42%43"} {
		f.Add("https", "me", password, "example.com/org/repo")
		f.Add("ssh", "", password, "example.com:x/org/repo")
		f.Add(password, password, password, "")
	}
	f.Fuzz(func(t *testing.T, scheme, user, password, rest string) {
		// Of fewer characters, the texts of errors have all that there are. And what is
		// elsewhere in the URL is no secret.
		if len(password) < 5 || strings.Contains(scheme+user+rest+messages, password) || strings.Contains(messages, strings.ToLower(password)) {
			return
		}
		raw := scheme + "://" + user + ":" + password + "@" + rest
		if u, err := git.ParseURL(raw); err != nil {
			if strings.Contains(err.Error(), password) || strings.Contains(err.Error(), strings.Trim(fmt.Sprintf("%q", password), `"`)) {
				t.Errorf("ParseURL(%q): %v", raw, err)
			}
			return
		} else if set, ok := u.User.Password(); !ok || set != password {
			return // another reading: of "https://me:1/x@host/y", the host is me
		}
		remote, err := git.NewRemote(raw, creds.Git{})
		if err != nil {
			if strings.Contains(err.Error(), password) {
				t.Errorf("NewRemote(%q): %v", raw, err)
			}
			return
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if got := fmt.Sprintf(verb, remote); strings.Contains(got, password) {
				t.Errorf("remote of %q by %s: %s", raw, verb, got)
			}
		}
	})
}

// messages is what errors of ParseURL and NewRemote say by themselves.
const messages = `invalid URL: it cannot be parsed; special characters in a user name or password are written as %XX
scheme is none of http, https and ssh it has no host it has no path, so it names no repository
it has a query or a fragment, which a repository has not
authentication failed: an ssh URL needs a secret with the keys identity and known_hosts`

func TestRemoteKey(t *testing.T) {
	t.Parallel()
	basic := creds.Git{Username: creds.Hide("me"), Password: creds.Hide("pw")}
	key, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	ssh := creds.Git{SSH: creds.NewSSH(key.Signer(), []byte("x"))}
	proxy, err := creds.NewProxy(map[string][]byte{"address": []byte("http://proxy.example.com")}, "ns/name")
	if err != nil {
		t.Fatal(err)
	}
	appToken := func(token, identity string) creds.Git {
		return creds.Git{Username: creds.Hide("me"), Password: creds.Hide(token), Identity: identity}
	}
	type remote struct {
		url   string
		creds creds.Git
	}
	tests := map[string]struct {
		why  string
		a, b remote
		same bool
	}{
		"same":           {a: remote{url: "https://example.com/r"}, b: remote{url: "https://example.com/r"}, same: true},
		"trailing slash": {why: "servers make no difference", a: remote{url: "https://example.com/r"}, b: remote{url: "https://example.com/r/"}, same: true},
		"default user":   {why: "git is who logs in if nobody is named", a: remote{url: "ssh://git@example.com/r", creds: ssh}, b: remote{url: "ssh://example.com/r", creds: ssh}, same: true},
		"by URL":         {why: "it is the same user, however it is said", a: remote{url: "https://me:pw@example.com/r"}, b: remote{url: "https://example.com/r", creds: basic}, same: true},
		"ignored user":   {why: "a Secret goes before the URL", a: remote{url: "https://you:x@example.com/r", creds: basic}, b: remote{url: "https://example.com/r", creds: basic}, same: true},

		"short life": {why: "a token is for an hour, and a store for as long as it is of use", a: remote{url: "https://example.com/r", creds: appToken("one", "app 1")}, b: remote{url: "https://example.com/r", creds: appToken("two", "app 1")}, same: true},

		"identity":    {why: "each installation of an app sees something else", a: remote{url: "https://example.com/r", creds: appToken("one", "app 1")}, b: remote{url: "https://example.com/r", creds: appToken("one", "app 2")}},
		"no identity": {a: remote{url: "https://example.com/r", creds: appToken("one", "app 1")}, b: remote{url: "https://example.com/r", creds: appToken("one", "")}},
		"proxy":       {why: "behind another proxy, the host may be another", a: remote{url: "https://example.com/r", creds: creds.Git{Proxy: proxy}}, b: remote{url: "https://example.com/r"}},
		"path":        {a: remote{url: "https://example.com/r"}, b: remote{url: "https://example.com/s"}},
		"escaped":     {why: "a server may tell them apart", a: remote{url: "https://example.com/a/b"}, b: remote{url: "https://example.com/a%2Fb"}},
		"scheme":      {why: "who can read one cannot always read the other", a: remote{url: "https://example.com/r"}, b: remote{url: "http://example.com/r"}},
		"port":        {a: remote{url: "https://example.com/r"}, b: remote{url: "https://example.com:8443/r"}},
		"credentials": {why: "nobody reads by another's rights", a: remote{url: "https://example.com/r", creds: basic}, b: remote{url: "https://example.com/r"}},
		"password":    {a: remote{url: "https://me:pw@example.com/r"}, b: remote{url: "https://me:px@example.com/r"}},
		"ssh user":    {a: remote{url: "ssh://git@example.com/r", creds: ssh}, b: remote{url: "ssh://you@example.com/r", creds: ssh}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := remoteAt(t, tc.a.url, tc.a.creds).Key(), remoteAt(t, tc.b.url, tc.b.creds).Key()
			if (a == b) != tc.same {
				t.Errorf("%s and %s share a key: %v (%s)", tc.a.url, tc.b.url, a == b, tc.why)
			}
		})
	}
}

func TestRemoteString(t *testing.T) {
	t.Parallel()
	key, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	ssh := creds.Git{SSH: creds.NewSSH(key.Signer(), []byte("x"))}
	tests := map[string]struct {
		url   string
		creds creds.Git
		want  string
	}{
		"plain":    {url: "https://example.com:8443/org/repo", want: "https://example.com:8443/org/repo"},
		"userinfo": {url: "https://user-value:pw-value@example.com/org/repo", want: "https://example.com/org/repo"},
		"ssh":      {url: "ssh://git:pw-value@example.com/org/repo", creds: ssh, want: "ssh://example.com/org/repo"},
		"escaped":  {url: "https://example.com/a%2Fb%20c", want: "https://example.com/a%2Fb%20c"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := remoteAt(t, tc.url, tc.creds)
			if got := r.String(); got != tc.want {
				t.Errorf("String() = %q, want %q", got, tc.want)
			}
			type holder struct{ remote git.Remote }
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
				for _, what := range []any{r, *r, holder{*r}, &holder{*r}} {
					if got := fmt.Sprintf(verb, what); strings.Contains(got, "pw-value") || strings.Contains(got, "user-value") {
						t.Errorf("%s of %T tells the credentials: %s", verb, what, got)
					}
				}
			}
		})
	}
}

func TestSSHNeedsASecret(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]creds.Git{"none": {}, "of http": {Username: creds.Hide("me"), Password: creds.Hide("pw-value")}} {
		_, err := git.NewRemote("ssh://git:url-value@example.com/repo", c)
		if !errors.Is(err, git.ErrUnauthorized) || !strings.Contains(err.Error(), "identity") {
			t.Errorf("%s: %v, want ErrUnauthorized that names the keys", name, err)
		}
		if strings.Contains(err.Error(), "-value") {
			t.Errorf("%s: %q tells a secret", name, err)
		}
	}
}
