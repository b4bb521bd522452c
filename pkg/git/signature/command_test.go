package signature_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir.dev/pkg/git/signature"
)

// What Git itself signs, by the programs that people sign with, is found good.
func TestVerifyWhatGitSigns(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, g *gitCommand) (file, content, want string){
		"by OpenPGP": func(t *testing.T, g *gitCommand) (string, string, string) {
			t.Helper()
			if _, err := g.try("gpg", "--batch", "--passphrase", "", "--quick-gen-key", "test@example.com", "ed25519", "sign", "never"); err != nil {
				t.Skipf("gpg makes no key here, where the path of its home may be too long: %v", err)
			}
			g.run("git", "config", "user.signingkey", "test@example.com")
			listing := g.run("gpg", "--list-keys", "--with-colons")
			_, id, _ := strings.Cut(listing, "\npub:")
			return "a.asc", g.run("gpg", "--armor", "--export"), strings.Split(id, ":")[3]
		},
		"by SSH": func(t *testing.T, g *gitCommand) (string, string, string) {
			t.Helper()
			g.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key")
			g.run("git", "config", "gpg.format", "ssh")
			g.run("git", "config", "user.signingkey", filepath.Join(g.dir, "key.pub"))
			fingerprint := strings.Fields(g.run("ssh-keygen", "-l", "-f", "key.pub"))[1]
			return "a.sshpub", g.run("cat", "key.pub"), fingerprint
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGitCommand(t)
			g.run("git", "init", "-q", "-b", "main")
			file, content, want := prepare(t, g)
			g.run("git", "commit", "-q", "-S", "--allow-empty", "-m", "first")
			g.run("git", "tag", "-s", "v1", "-m", "the first")

			trusted := keys(t, map[string]string{file: content})
			commit, err := signature.Commit([]byte(g.run("git", "cat-file", "commit", "HEAD")))
			if err != nil {
				t.Fatal(err)
			}
			tag, err := signature.Tag([]byte(g.run("git", "cat-file", "tag", "v1")))
			if err != nil {
				t.Fatal(err)
			}
			for what, s := range map[string]signature.Signed{"commit": commit, "tag": tag} {
				if got, err := trusted.Verify(s, time.Now()); err != nil || got != want {
					t.Errorf("the %s is signed by %q, %v; want %q", what, got, err, want)
				}
				s.Payload = append(s.Payload, "more"...)
				if got, err := trusted.Verify(s, time.Now()); err == nil {
					t.Errorf("a %s that was changed is signed by %q", what, got)
				}
			}
		})
	}
}

// gitCommand runs programs in a folder of their own.
type gitCommand struct {
	t   *testing.T
	dir string
	env []string
}

func newGitCommand(t *testing.T) *gitCommand {
	t.Helper()
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil { // or gpg complains
		t.Fatal(err)
	}
	g := &gitCommand{t: t, dir: home, env: []string{
		"HOME=" + home, "GNUPGHOME=" + home, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + filepath.Join(home, "config"), "LC_ALL=C",
		"GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@example.com", "GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@example.com",
	}}
	t.Cleanup(func() {
		if _, err := exec.LookPath("gpgconf"); err == nil {
			g.run("gpgconf", "--kill", "all") // the agent of this home
		}
	})
	return g
}

// run returns what a program prints. The test is skipped where there is no such.
func (g *gitCommand) run(name string, args ...string) string {
	g.t.Helper()
	out, err := g.try(name, args...)
	if err != nil {
		g.t.Fatal(err)
	}
	return out
}

func (g *gitCommand) try(name string, args ...string) (string, error) {
	g.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		g.t.Skipf("needs %s: %v", name, err)
	}
	// The context of the test is over when it cleans up.
	cmd := exec.CommandContext(context.WithoutCancel(g.t.Context()), path, args...)
	cmd.Dir = g.dir
	cmd.Env = append(cmd.Environ(), g.env...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, complaints.String())
	}
	return string(out), nil
}
