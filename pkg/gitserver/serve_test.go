package gitserver_test

import (
	"encoding/base64"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"github.com/go-git/go-git/v5/storage/memory"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// eachBackend runs a test against every backend that can be had here.
func eachBackend(t *testing.T, test func(t *testing.T, backend gitserver.Backend)) {
	for _, backend := range []gitserver.Backend{gitserver.GitCommand, gitserver.GoGit} {
		t.Run(backend.String(), func(t *testing.T) {
			needBackend(t, backend)
			test(t, backend)
		})
	}
}

func needBackend(t *testing.T, backend gitserver.Backend) {
	t.Helper()
	if _, err := gitserver.NewHandler(t.TempDir(), gitserver.Options{Backend: backend}); err != nil {
		t.Skipf("backend %s cannot be had: %v", backend, err)
	}
}

// eachTransport runs a test over every transport, with the URL of the repository fleet.
func eachTransport(t *testing.T, opts gitserver.Options, test func(t *testing.T, s *gitservertest.Server, url string)) {
	t.Run("http", func(t *testing.T) {
		s := gitservertest.Start(t, opts)
		test(t, s, s.URL("fleet"))
	})
	t.Run("https", func(t *testing.T) {
		s := gitservertest.StartTLS(t, opts)
		test(t, s, s.URL("fleet"))
	})
	t.Run("ssh", func(t *testing.T) {
		if _, err := exec.LookPath("ssh"); err != nil {
			t.Skipf("needs the ssh command: %v", err)
		}
		s := gitservertest.Start(t, opts)
		test(t, s, s.SSHURL("fleet"))
	})
}

// populate gives a repository some history, and returns its files at main.
func populate(repo *gitservertest.Repo) map[string]string {
	first := repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"), gitserver.File("base/a/b.yaml", "b\n"))
	repo.Tag("v1.0.0", first)
	repo.TagAnnotated("v1.1.0", first, "a release")
	second := repo.Commit("main", "second", gitserver.File("app.yaml", "kind: App # 2\n"))
	repo.SetRef("refs/pull/1/head", second)
	return map[string]string{"app.yaml": "kind: App # 2\n", "base/a/b.yaml": "b\n"}
}

// readFiles returns the files of a work tree.
func readFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		content, err := os.ReadFile(path)
		rel, relErr := filepath.Rel(dir, path)
		files[rel] = string(content)
		if err == nil {
			err = relErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCloneAndFetchWithGit(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		eachTransport(t, gitserver.Options{Backend: backend}, func(t *testing.T, s *gitservertest.Server, url string) {
			repo := s.Repo("fleet")
			want := populate(repo)
			clone := filepath.Join(t.TempDir(), "clone")
			s.Git(t.TempDir(), "clone", url, clone)
			if diff := cmp.Diff(want, readFiles(t, clone)); diff != "" {
				t.Errorf("cloned files (-want +got):\n%s", diff)
			}
			refs := s.Git(clone, "ls-remote", "origin")
			for _, ref := range []string{"\tHEAD", "\trefs/heads/main", "\trefs/pull/1/head", "\trefs/tags/v1.0.0", "\trefs/tags/v1.1.0", "\trefs/tags/v1.1.0^{}"} {
				if !strings.Contains(refs, ref+"\n") {
					t.Errorf("ls-remote has no %q:\n%s", ref, refs)
				}
			}
			// Enough commits for the client to negotiate in more than one round.
			for range 40 {
				s.Git(clone, "commit", "--allow-empty", "-m", "nobody else has this")
			}
			head := repo.Commit("main", "third", gitserver.File("more.yaml", "more\n"))
			s.Git(clone, "fetch", "origin")
			if got := s.Git(clone, "rev-parse", "origin/main"); got != head+"\n" {
				t.Errorf("fetched %q, want %q", got, head)
			}
			s.Git(clone, "fsck", "--strict")
		})
	})
}

func TestCloneWithGoGit(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		opts := gitserver.Options{Backend: backend}
		eachTransport(t, opts, func(t *testing.T, s *gitservertest.Server, url string) {
			want := populate(s.Repo("fleet"))
			options := &git.CloneOptions{URL: url, CABundle: s.CA}
			if strings.HasPrefix(url, "ssh:") {
				options.Auth = sshAuth(s)
			}
			repo, err := git.CloneContext(t.Context(), memory.NewStorage(), nil, options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, headFiles(t, repo)); diff != "" {
				t.Errorf("cloned files (-want +got):\n%s", diff)
			}
		})
	})
}

func sshAuth(s *gitservertest.Server) transport.AuthMethod {
	return &gitssh.PublicKeys{User: "git", Signer: s.SSH().ClientKey.Signer(), HostKeyCallbackHelper: gitssh.HostKeyCallbackHelper{
		HostKeyCallback: ssh.FixedHostKey(s.SSH().HostKey.Public()),
	}}
}

func headFiles(t *testing.T, repo *git.Repository) map[string]string {
	t.Helper()
	head, err := repo.Head()
	if err != nil {
		t.Fatal(err)
	}
	commit, err := repo.CommitObject(head.Hash())
	if err != nil {
		t.Fatal(err)
	}
	iter, err := commit.Files()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	err = iter.ForEach(func(f *object.File) error {
		files[f.Name], err = f.Contents()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestShallow(t *testing.T) {
	tests := map[string]struct {
		why     string
		backend gitserver.Backend
		ok      bool
	}{
		"the git command fetches one commit": {why: "controllers never want history", backend: gitserver.GitCommand, ok: true},
		"go-git refuses":                     {why: "it must not send history that the client takes for one commit", backend: gitserver.GoGit},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			needBackend(t, tc.backend)
			s := gitservertest.Start(t, gitserver.Options{Backend: tc.backend})
			populate(s.Repo("fleet"))
			clone := t.TempDir()
			s.Git(clone, "init", "--quiet")
			out, err := s.TryGit(clone, "fetch", "--depth", "1", s.URL("fleet"), "main")
			if (err == nil) != tc.ok {
				t.Fatalf("fetch --depth 1: %v (%s)\n%s", err, tc.why, out)
			}
			if !tc.ok {
				return
			}
			if got := s.Git(clone, "rev-list", "--count", "FETCH_HEAD"); got != "1\n" {
				t.Errorf("fetched %s commits, want 1 (%s)", got, tc.why)
			}
			first := strings.TrimSpace(s.Git(clone, "ls-remote", s.URL("fleet"), "refs/tags/v1.0.0"))[:40]
			s.Git(clone, "-c", "protocol.version=0", "fetch", "--depth", "1", s.URL("fleet"), first)
		})
	}
}

func TestPush(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		eachTransport(t, gitserver.Options{Backend: backend, Push: true}, func(t *testing.T, s *gitservertest.Server, url string) {
			repo := s.Repo("fleet")
			populate(repo)
			clone := filepath.Join(t.TempDir(), "clone")
			s.Git(t.TempDir(), "clone", url, clone)
			// More than git sends in one piece below, and than deflate makes small.
			noise := make([]byte, 300<<10)
			random := rand.New(rand.NewPCG(1, 2))
			for i := range noise {
				noise[i] = byte(random.Uint32())
			}
			if err := os.WriteFile(filepath.Join(clone, "noise.bin"), noise, 0o600); err != nil {
				t.Fatal(err)
			}
			s.Git(clone, "add", "noise.bin")
			s.Git(clone, "commit", "-m", "noise")
			s.Git(clone, "-c", "http.postBuffer=65536", "push", "origin", "main", "main:refs/heads/copy")
			head := strings.TrimSpace(s.Git(clone, "rev-parse", "HEAD"))
			if got := repo.Head("main"); got != head {
				t.Errorf("main is %s after the push, want %s", got, head)
			}
			s.Git(clone, "push", "origin", "main:refs/heads/another") // of objects that are there
			s.Git(clone, "push", "origin", ":copy")
			if _, err := repo.Repo.Head("copy"); err == nil {
				t.Error("copy is there after its deletion was pushed")
			}
			next := repo.Commit("main", "on top of what was pushed", gitserver.File("top", "top"))
			s.Git(clone, "commit", "--allow-empty", "-m", "does not know of that")
			if out, err := s.TryGit(clone, "push", "origin", "main"); err == nil {
				t.Errorf("a push that forgets a commit is taken:\n%s", out)
			}
			s.Git(clone, "fetch", "origin")
			s.Git(clone, "push", "--force-with-lease=main:"+next, "origin", "main")
			repo.Git("fsck", "--strict")
		})
	})
}

func TestPushIsRefusedByDefault(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		eachTransport(t, gitserver.Options{Backend: backend}, func(t *testing.T, s *gitservertest.Server, url string) {
			repo := s.Repo("fleet")
			populate(repo)
			before := repo.Head("main")
			clone := filepath.Join(t.TempDir(), "clone")
			s.Git(t.TempDir(), "clone", url, clone)
			s.Git(clone, "commit", "--allow-empty", "-m", "mine")
			if out, err := s.TryGit(clone, "push", "origin", "main"); err == nil {
				t.Errorf("the push is taken:\n%s", out)
			}
			if got := repo.Head("main"); got != before {
				t.Errorf("main moved from %s to %s", before, got)
			}
		})
	})
}

func TestAuthentication(t *testing.T) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("git:secret"))
	tests := map[string]struct {
		why    string
		opts   gitserver.Options
		header string
		want   int
		ask    []string
	}{
		"anonymous is asked for a password": {
			why: "git sends credentials only when asked", opts: gitserver.Options{Username: "git", Password: "secret"},
			want: http.StatusUnauthorized, ask: []string{`Basic realm="git"`},
		},
		"the password opens": {why: "it is right", opts: gitserver.Options{Username: "git", Password: "secret"}, header: basic, want: http.StatusOK},
		"another password does not": {
			why: "it is wrong", opts: gitserver.Options{Username: "git", Password: "other"}, header: basic,
			want: http.StatusUnauthorized, ask: []string{`Basic realm="git"`},
		},
		"another user does not": {
			why: "it is wrong", opts: gitserver.Options{Username: "root", Password: "secret"}, header: basic,
			want: http.StatusUnauthorized, ask: []string{`Basic realm="git"`},
		},
		"the token opens": {why: "it is right", opts: gitserver.Options{BearerToken: "t0k"}, header: "Bearer t0k", want: http.StatusOK},
		"another token does not": {
			why: "it is wrong", opts: gitserver.Options{BearerToken: "t0k"}, header: "Bearer t0",
			want: http.StatusUnauthorized, ask: []string{`Bearer realm="git"`},
		},
		"either opens where both are set": {
			why: "hosts take both", opts: gitserver.Options{Username: "git", Password: "secret", BearerToken: "t0k"}, header: basic, want: http.StatusOK,
		},
		"an empty password is none for a token": {
			why: "the password that is not set must not be a way in", opts: gitserver.Options{BearerToken: "t0k"},
			header: "Basic " + base64.StdEncoding.EncodeToString([]byte(":")),
			want:   http.StatusUnauthorized, ask: []string{`Bearer realm="git"`},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.opts.Backend = gitserver.GoGit
			s := gitservertest.Start(t, tc.opts)
			populate(s.Repo("fleet"))
			res := get(t, s.URL("fleet")+"/info/refs?service=git-upload-pack", tc.header)
			if res.StatusCode != tc.want {
				t.Errorf("status %d, want %d (%s)", res.StatusCode, tc.want, tc.why)
			}
			if diff := cmp.Diff(tc.ask, res.Header.Values("WWW-Authenticate")); diff != "" {
				t.Errorf("WWW-Authenticate (-want +got, %s):\n%s", tc.why, diff)
			}
		})
	}
}

func get(t *testing.T, url, authorization string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return res
}

func TestClientsLogIn(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		s := gitservertest.Start(t, gitserver.Options{Backend: backend, Username: "git", Password: "secret"})
		populate(s.Repo("fleet"))
		auth := &githttp.BasicAuth{Username: "git", Password: "secret"}
		if _, err := git.CloneContext(t.Context(), memory.NewStorage(), nil, &git.CloneOptions{URL: s.URL("fleet"), Auth: auth}); err != nil {
			t.Errorf("go-git with the password: %v", err)
		}
		s.Git(t.TempDir(), "ls-remote", strings.Replace(s.URL("fleet"), "://", "://git:secret@", 1))
		if out, err := s.TryGit(t.TempDir(), "ls-remote", s.URL("fleet")); err == nil {
			t.Errorf("git without the password sees\n%s", out)
		}
	})
}

func TestEmptyRepository(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		eachTransport(t, gitserver.Options{Backend: backend, Push: true}, func(t *testing.T, s *gitservertest.Server, url string) {
			repo := s.Repo("fleet")
			clone := filepath.Join(t.TempDir(), "clone")
			s.Git(t.TempDir(), "clone", url, clone)
			s.Git(clone, "checkout", "-B", "main")
			s.Git(clone, "commit", "--allow-empty", "-m", "first")
			s.Git(clone, "push", "origin", "main")
			if got, want := repo.Head("main")+"\n", s.Git(clone, "rev-parse", "HEAD"); got != want {
				t.Errorf("main is %q, want %q", got, want)
			}
		})
	})
}
