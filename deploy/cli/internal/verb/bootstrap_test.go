package verb_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

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
		"a token for SSH":   {why: "it takes none", args: []string{"git", "--url=ssh://git@127.0.0.1:1/fleet", "--token-auth"}, says: []string{"https"}},
		"a host away":       {why: "it is not the cluster", args: []string{"git", "--url=ssh://git@127.0.0.1:1/fleet"}, says: []string{"host of the repository"}},
		"no owner":          {why: "there is no default", args: []string{"gitea", "--repository=fleet"}, in: "s3cret\n", says: []string{"--owner"}},
		"two ways in":       {why: "one is enough", args: []string{"gitlab", "--owner=team", "--repository=fleet", "--token-auth", "--deploy-token-auth"}, in: "s3cret\n", says: []string{"one way"}},
		"a bad team":        {why: "it has no name", args: []string{"github", "--owner=team", "--repository=fleet", "--team=:admin"}, in: "s3cret\n", says: []string{"--team"}},
		"a bad key":         {why: "nobody makes these any more", args: []string{"github", "--owner=team", "--repository=fleet", "--ssh-key-algorithm=dsa"}, in: "s3cret\n", says: []string{"--ssh-key-algorithm"}},
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

// bootstrapWith runs the verb in an environment, with something piped in.
func bootstrapWith(t *testing.T, env map[string]string, in string, args ...string) (out, said string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	streams := session.Streams{In: strings.NewReader(in), Out: &stdout, Err: &stderr}
	code = verb.Main(t.Context(), append([]string{"bootstrap"}, args...), streams, func(name string) string { return env[name] })
	return stdout.String(), stderr.String(), code
}
