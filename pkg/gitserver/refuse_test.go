package gitserver_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// trap lays out a directory with a repository beside the one that is served, and a
// link to it from inside.
func trap(t *testing.T, s *gitservertest.Server) (outside string) {
	t.Helper()
	s.Repo("fleet").Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	s.Repo("team/fleet.git").Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	parent := t.TempDir()
	if _, err := gitserver.Init(parent, "outside"); err != nil {
		t.Fatal(err)
	}
	outside = filepath.Join(parent, "outside")
	if err := os.Symlink(outside, filepath.Join(s.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("fleet", filepath.Join(s.Dir, "alias")); err != nil {
		t.Fatal(err)
	}
	return outside
}

// names are what clients may ask for, and whether they get it. OUTSIDE stands for a
// repository that is not to be had, by an absolute path, and UP for the way there.
func names() map[string]bool {
	return map[string]bool{
		"fleet": true, "fleet.git": true, "team/fleet": true, "team/fleet.git": true, "alias": true,
		"link": false, "OUTSIDE": false, "/OUTSIDE": false, "UP": false, "fleet/UP": false, "team/../fleet": false,
		"./fleet": false, "fleet/.": false, "": false, ".": false, "..": false, "team": false, "nothing": false,
		"fleet/objects": false, `..\fleet`: false, "-x": false, "~/fleet": false,
	}
}

// spell replaces the placeholders of names.
func spell(t *testing.T, name, dir, outside string) string {
	t.Helper()
	up, err := filepath.Rel(dir, outside)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("OUTSIDE", outside, "UP", up).Replace(name)
}

func TestNamesOverHTTP(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		s := gitservertest.Start(t, gitserver.Options{Backend: backend})
		outside := trap(t, s)
		for name, ok := range names() {
			// Escaped, because clients and muxes clean the dots from a path.
			escaped := strings.NewReplacer("..", "%2e%2e", "./", "%2e/", `\`, "%5c").Replace(spell(t, name, s.Dir, outside))
			want := http.StatusNotFound
			if ok {
				want = http.StatusOK
			}
			if res := get(t, s.URL(escaped)+"/info/refs?service=git-upload-pack", ""); res.StatusCode != want {
				t.Errorf("repository %q: status %d, want %d", name, res.StatusCode, want)
			}
		}
	})
}

func TestNamesOverSSH(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		s := gitservertest.Start(t, gitserver.Options{Backend: backend})
		outside := trap(t, s)
		client := login(t, s, s.SSH().ClientKey)
		for name, ok := range names() {
			out, complaint, err := run(t, client, "git-upload-pack '"+spell(t, name, s.Dir, outside)+"'")
			switch {
			case ok && (err != nil || !strings.Contains(out, "refs/heads/main")):
				t.Errorf("repository %q: %v\n%s%s", name, err, out, complaint)
			case !ok && (err == nil || out != "" || !strings.HasPrefix(complaint, "ERROR: ")):
				t.Errorf("repository %q is served: %v\n%s%s", name, err, out, complaint)
			}
		}
	})
}

func TestCommandsOverSSH(t *testing.T) {
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	s.Repo("fleet").Commit("main", "first")
	client := login(t, s, s.SSH().ClientKey)
	tests := map[string]bool{
		"git-upload-pack '/fleet'":           true,
		"git upload-pack fleet":              true,
		"git-receive-pack '/fleet'":          false, // Push is off
		"git-upload-archive '/fleet'":        false,
		"git-upload-pack":                    false,
		"git-upload-pack --timeout=1 /fleet": false,
		"git-upload-pack '/fleet'; id":       false,
		"sh":                                 false,
		"":                                   false,
	}
	for command, ok := range tests {
		if out, complaint, err := run(t, client, command); (err == nil) != ok {
			t.Errorf("command %q: %v, want success to be %t\n%s%s", command, err, ok, out, complaint)
		}
	}
}

func TestSSHLetsInAuthorizedKeysOnly(t *testing.T) {
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	stranger, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		why  string
		auth []ssh.AuthMethod
		ok   bool
	}{
		"the client's key": {why: "it is authorized", auth: []ssh.AuthMethod{ssh.PublicKeys(s.SSH().ClientKey.Signer())}, ok: true},
		"another key":      {why: "nobody authorized it", auth: []ssh.AuthMethod{ssh.PublicKeys(stranger.Signer())}},
		"nothing":          {why: "the server is not open"},
		"a password":       {why: "there are none", auth: []ssh.AuthMethod{ssh.Password("")}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			client, err := ssh.Dial("tcp", s.SSH().Addr, &ssh.ClientConfig{User: "git", Auth: tc.auth, HostKeyCallback: ssh.FixedHostKey(s.SSH().HostKey.Public())})
			if (err == nil) != tc.ok {
				t.Errorf("login: %v, want success to be %t (%s)", err, tc.ok, tc.why)
			}
			if err == nil {
				_ = client.Close()
			}
		})
	}
}

func login(t *testing.T, s *gitservertest.Server, key *gitserver.Key) *ssh.Client {
	t.Helper()
	client, err := ssh.Dial("tcp", s.SSH().Addr, &ssh.ClientConfig{
		User: "git", Auth: []ssh.AuthMethod{ssh.PublicKeys(key.Signer())}, HostKeyCallback: ssh.FixedHostKey(s.SSH().HostKey.Public()),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// run runs a command, to which it says that it wants no pack.
func run(t *testing.T, client *ssh.Client, command string) (out, complaint string, err error) {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	var stdout, stderr bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = strings.NewReader("0000"), &stdout, &stderr
	err = session.Run(command)
	return stdout.String(), stderr.String(), err
}

func TestOnlyTheSmartProtocol(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		s := gitservertest.Start(t, gitserver.Options{Backend: backend})
		s.Repo("fleet").Commit("main", "first")
		tests := map[string]int{
			"/info/refs?service=git-upload-pack":    http.StatusOK,
			"/info/refs?service=git-receive-pack":   http.StatusForbidden,
			"/info/refs?service=git-upload-archive": http.StatusNotFound,
			"/info/refs":                            http.StatusNotFound,
			"/git-upload-pack":                      http.StatusMethodNotAllowed,
			"/HEAD":                                 http.StatusNotFound,
			"/config":                               http.StatusNotFound,
			"/objects/info/packs":                   http.StatusNotFound,
			"":                                      http.StatusNotFound,
		}
		for path, want := range tests {
			if res := get(t, s.URL("fleet")+path, ""); res.StatusCode != want {
				t.Errorf("%s: status %d, want %d", path, res.StatusCode, want)
			}
		}
		res, err := http.Post(s.URL("fleet")+"/git-upload-pack", "text/plain", strings.NewReader("0000"))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("POST of text: status %d, want %d", res.StatusCode, http.StatusUnsupportedMediaType)
		}
	})
}

func TestOptionsThatCannotWork(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		why  string
		dir  string
		opts gitserver.Options
	}{
		"no directory":     {why: "a typing error would serve nothing", dir: filepath.Join(dir, "nothing")},
		"a file":           {why: "it holds no repositories", dir: file},
		"user with colon":  {why: "the password would begin there", dir: dir, opts: gitserver.Options{Username: "a:b"}},
		"token with space": {why: "a header has no place for it", dir: dir, opts: gitserver.Options{BearerToken: "a b\n"}},
		"odd config":       {why: "git would not start", dir: dir, opts: gitserver.Options{Config: map[string]string{"nosection": "1"}}},
		"no such backend":  {why: "there are three", dir: dir, opts: gitserver.Options{Backend: 7}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := gitserver.NewHandler(tc.dir, tc.opts); err == nil {
				t.Errorf("NewHandler accepts it (%s)", tc.why)
			}
		})
	}
	if err := (gitserver.SSHOptions{}).Validate(); err == nil {
		t.Error("SSHOptions without a host key are accepted")
	}
}

func TestWithoutTheGitCommand(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := gitserver.NewHandler(t.TempDir(), gitserver.Options{Backend: gitserver.GitCommand}); !errors.Is(err, gitserver.ErrNoCommand) {
		t.Errorf("NewHandler: %v, want %v", err, gitserver.ErrNoCommand)
	}
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.Auto})
	populate(s.Repo("fleet"))
	if res := get(t, s.URL("fleet")+"/info/refs?service=git-upload-pack", ""); res.StatusCode != http.StatusOK {
		t.Errorf("Auto answers with status %d", res.StatusCode)
	}
	client := login(t, s, s.SSH().ClientKey)
	if out, complaint, err := run(t, client, "git-upload-pack fleet"); err != nil || !strings.Contains(out, "refs/heads/main") {
		t.Errorf("Auto answers over SSH: %v\n%s%s", err, out, complaint)
	}
}

func TestConfigReachesGit(t *testing.T) {
	needBackend(t, gitserver.GitCommand)
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GitCommand, Config: map[string]string{"uploadpack.hideRefs": "refs/pull"}})
	populate(s.Repo("fleet"))
	refs := s.Git(t.TempDir(), "ls-remote", s.URL("fleet"))
	if strings.Contains(refs, "refs/pull") || !strings.Contains(refs, "refs/heads/main") {
		t.Errorf("ls-remote with refs/pull hidden:\n%s", refs)
	}
}
