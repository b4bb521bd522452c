package verb_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/verb"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
	"weir.dev/pkg/testplane"
)

const bootstrapPassword = "t0p-s3cret"

// TestBootstrapDryRun: the files of a whole installation are printed, and nothing is changed.
func TestBootstrapDryRun(t *testing.T) {
	t.Parallel()
	p := testplane.Start(t)
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit, Push: true, Username: "ann", Password: bootstrapPassword})
	repo := s.Repo("fleet")
	out, said, code := bootstrapWith(t, map[string]string{"GIT_PASSWORD": bootstrapPassword}, "",
		"--kubeconfig", p.Kubeconfig(), "-n", p.Namespace, "git", "--url="+s.URL("fleet"), "--allow-insecure-http", "--username=ann", "--token-auth",
		"--path=clusters/prod", "--registry=registry.example.com/weir", "--watch-all-namespaces=false", "--export")
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	for _, want := range []string{"path: ./clusters/prod", "name: kustomize-controller", "url: " + s.URL("fleet"), "- gotk-sync.yaml"} {
		if !strings.Contains(out, want) {
			t.Errorf("the files have no %q", want)
		}
	}
	if _, err := repo.Ref("refs/heads/main"); err == nil || !strings.Contains(said, "nothing was changed") {
		t.Errorf("there is a commit, or it says:\n%s", said)
	}
	if strings.Contains(out+said, bootstrapPassword) {
		t.Error("the password is told")
	}
}

func TestBootstrapRefuses(t *testing.T) {
	t.Parallel()
	none := filepath.Join(t.TempDir(), "none")
	tests := map[string]struct {
		why  string
		args []string
		in   string
		says []string
	}{
		"no token":          {why: "it names the variable", args: []string{"github", "--owner=team", "--repository=fleet"}, says: []string{"there is no token", "export GITHUB_TOKEN="}},
		"Bitbucket Server":  {why: "there is another way", args: []string{"bitbucket-server", "--owner=team"}, says: []string{"weir bootstrap git"}},
		"http":              {why: "a password would be seen", args: []string{"git", "--url=http://127.0.0.1:1/fleet"}, says: []string{"--allow-insecure-http"}},
		"no URL":            {why: "there is no default", args: []string{"git"}, says: []string{"--url"}},
		"a user in the URL": {why: "it would be in Git", args: []string{"git", "--url=https://ann:s3cret@127.0.0.1:1/fleet"}, says: []string{"--password"}},
		"a token for SSH":   {why: "the cluster uses https, and needs one", args: []string{"git", "--url=ssh://git@127.0.0.1:1/fleet", "--token-auth"}, says: []string{"there is no password", "export GIT_PASSWORD="}},
		"no owner":          {why: "there is no default", args: []string{"gitea", "--repository=fleet"}, in: "s3cret\n", says: []string{"--owner"}},
		"two ways in":       {why: "one is enough", args: []string{"gitlab", "--owner=team", "--repository=fleet", "--token-auth", "--deploy-token-auth"}, in: "s3cret\n", says: []string{"one way"}},
		"a bad team":        {why: "it has no name", args: []string{"github", "--owner=team", "--repository=fleet", "--team=:admin"}, in: "s3cret\n", says: []string{"--team"}},
		"a bad key":         {why: "nobody makes these any more", args: []string{"github", "--owner=team", "--repository=fleet", "--ssh-key-algorithm=dsa"}, in: "s3cret\n", says: []string{"--ssh-key-algorithm"}},
		"other manifests":   {why: "those that there are can be patched", args: []string{"github", "--owner=team", "--repository=fleet", "--manifests=/x"}, in: "s3cret\n", says: []string{"kustomization.yaml"}},
		"a bad host":        {why: "it is a URL of something else", args: []string{"github", "--owner=team", "--repository=fleet", "--hostname=ftp://x"}, in: "s3cret\n", says: []string{"--hostname"}},
	}
	for name, tc := range tests {
		out, said, code := bootstrapWith(t, nil, tc.in, append([]string{"--kubeconfig", none}, tc.args...)...)
		if code != 1 || out != "" || strings.Contains(said, "s3cret") {
			t.Errorf("%s: exit code %d, %q:\n%s (%s)", name, code, out, said, tc.why)
		}
		for _, want := range tc.says {
			if !strings.Contains(said, want) {
				t.Errorf("%s: it does not say %q (%s):\n%s", name, want, tc.why, said)
			}
		}
	}
}

// TestBootstrapOverSSH: how the command and the cluster get in, by what the URL and flags say.
func TestBootstrapOverSSH(t *testing.T) {
	t.Parallel()
	p := testplane.Start(t)
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit, Push: true})
	s.Repo("fleet").Commit("main", "one", gitserver.File("a", "1"))
	addr := s.SSH().Addr
	secret, err := s.SSH().ClientKey.EncryptedPEM(bootstrapPassword)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := gitserver.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	encrypted, plain := file("encrypted", secret), file("plain", s.SSH().ClientKey.PEM())
	known, unknown, other := file("known", s.SSH().KnownHosts), file("none", nil), file("other", gitserver.KnownHosts(addr, stranger.Public()))
	fingerprint := ssh.FingerprintSHA256(s.SSH().HostKey.Public())
	tests := map[string]struct {
		why       string
		url, key  string
		args      []string
		env       map[string]string
		in        string
		out, says string
		hides     string
		code      int
	}{
		"a password by variable":     {why: "others cannot see it", url: "ssh://git@" + addr + "/fleet", key: encrypted, env: map[string]string{"GIT_PASSWORD": bootstrapPassword}, out: "url: ssh://git@" + addr + "/fleet\n"},
		"a password that is asked":   {why: "the key needs it", url: "ssh://git@" + addr + "/fleet", key: encrypted, in: bootstrapPassword + "\n", out: "url: ssh://git@" + addr + "/fleet\n"},
		"a password by pipe":         {why: "the flag says so", url: "ssh://git@" + addr + "/fleet", key: encrypted, args: []string{"--password=-"}, in: bootstrapPassword + "\n", out: "url: ssh://git@" + addr + "/fleet\n"},
		"a wrong password":           {why: "it does not decrypt the key", url: "ssh://git@" + addr + "/fleet", key: encrypted, env: map[string]string{"GIT_PASSWORD": "wr0ng"}, says: "does not decrypt", hides: "wr0ng", code: 1},
		"no user":                    {why: "the cluster logs in as somebody", url: "ssh://" + addr + "/fleet", key: plain, out: "url: ssh://git@" + addr + "/fleet\n"},
		"another user":               {why: "the flag is nearer than the URL", url: "ssh://git@" + addr + "/fleet", key: plain, args: []string{"--username=ann"}, out: "url: ssh://ann@" + addr + "/fleet\n"},
		"a password in the URL":      {why: "it would be in Git", url: "ssh://git:s3cret@" + addr + "/fleet", key: plain, out: "url: ssh://git@" + addr + "/fleet\n", hides: "s3cret"},
		"a token for the cluster":    {why: "it takes https to use one", url: "ssh://git@" + addr + "/fleet", key: plain, args: []string{"--token-auth", "--password=t0ken"}, out: "url: https://127.0.0.1/fleet\n", hides: "t0ken"},
		"a host that nobody knows":   {why: "people can compare its key", url: "ssh://git@" + addr + "/fleet", key: plain, env: map[string]string{"SSH_KNOWN_HOSTS": unknown}, out: "url: ssh://", says: fingerprint},
		"a host that the user knows": {why: "it is not asked", url: "ssh://git@" + addr + "/fleet", key: plain, env: map[string]string{"SSH_KNOWN_HOSTS": known}, out: "url: ssh://", hides: "SHA256:"},
		"a host with another key":    {why: "somebody may be in between", url: "ssh://git@" + addr + "/fleet", key: plain, env: map[string]string{"SSH_KNOWN_HOSTS": other}, says: "ssh-keygen -R", code: 1},
		"a host away":                {why: "it is not the cluster", url: "ssh://git@127.0.0.1:1/fleet", key: plain, says: "host of the repository", code: 1},
		"no key":                     {why: "nobody gets in without", url: "ssh://git@" + addr + "/fleet", says: "--private-key-file", code: 1},
	}
	for name, tc := range tests {
		args := append([]string{
			"--kubeconfig", p.Kubeconfig(), "-n", p.Namespace, "git", "--url=" + tc.url, "--path=clusters/prod", "--private-key-file=" + tc.key,
			"--registry=registry.example.com/weir", "--watch-all-namespaces=false", "--export",
		}, tc.args...)
		env := map[string]string{"SSH_KNOWN_HOSTS": known}
		maps.Copy(env, tc.env)
		out, said, code := bootstrapWith(t, env, tc.in, args...)
		if code != tc.code || !strings.Contains(out, tc.out) || !strings.Contains(said, tc.says) {
			t.Errorf("%s: exit code %d, want %d, %q and %q (%s):\n%s", name, code, tc.code, tc.out, tc.says, tc.why, said)
		}
		if tc.hides != "" && strings.Contains(out+said, tc.hides) || strings.Contains(out+said, bootstrapPassword) {
			t.Errorf("%s: it tells %q (%s):\n%s", name, tc.hides, tc.why, said)
		}
	}
}

// bootstrapWith runs the verb in an environment, with something piped in.
func bootstrapWith(t *testing.T, env map[string]string, in string, args ...string) (out, said string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	streams := session.Streams{In: strings.NewReader(in), Out: &stdout, Err: &stderr}
	code = verb.Main(t.Context(), append([]string{"bootstrap"}, args...), streams, func(name string) string { return env[name] })
	return stdout.String(), stderr.String(), code
}
