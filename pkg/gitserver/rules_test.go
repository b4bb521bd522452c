package gitserver_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// pusher is a clone by the git command of a repository that takes pushes.
type pusher struct {
	*gitservertest.Server
	repo  *gitservertest.Repo
	clone string
}

func newPusher(t *testing.T, backend gitserver.Backend) *pusher {
	t.Helper()
	s := gitservertest.Start(t, gitserver.Options{Backend: backend, Push: true})
	p := &pusher{Server: s, repo: s.Repo("fleet"), clone: t.TempDir()}
	p.repo.Commit("main", "first", gitserver.File("app.yaml", "kind: App\n"))
	s.Git(p.clone, "clone", "-q", s.URL("fleet"), ".")
	return p
}

// push pushes a new commit, with options before the name of the remote.
func (p *pusher) push(branch string, options ...string) (string, error) {
	p.Git(p.clone, "commit", "-q", "--allow-empty", "-m", "another")
	return p.TryGit(p.clone, append(append([]string{"push"}, options...), "origin", "HEAD:refs/heads/"+branch)...)
}

func TestProtect(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		p := newPusher(t, backend)
		head := p.repo.Head("main")
		p.repo.Protect("main", "main is protected\n")
		if out, err := p.push("main"); err == nil || !strings.Contains(out, "main is protected") || !strings.Contains(out, "hook declined") {
			t.Errorf("a push to what is protected: %v\n%s", err, out)
		}
		if got := p.repo.Head("main"); got != head {
			t.Errorf("the branch is at %s, want %s", got, head)
		}
		if out, err := p.push("other"); err != nil {
			t.Errorf("a push to another branch: %v\n%s", err, out)
		}
		p.repo.Commit("main", "by the owner", gitserver.File("app.yaml", "kind: Other\n"))
		if err := p.repo.Repo.Protect("../main", ""); !errors.Is(err, gitserver.ErrInvalidRef) {
			t.Errorf("a branch outside of the folder: %v, want %v", err, gitserver.ErrInvalidRef)
		}
	})
}

func TestAcceptOptions(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		p := newPusher(t, backend)
		if out, err := p.push("main", "-o", "ci.skip"); err == nil {
			t.Errorf("options are taken by who does not say so:\n%s", out)
		}
		if _, err := p.repo.Repo.PushOptions(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("options of a repository that takes none: %v", err)
		}
		p.repo.AcceptOptions()
		for _, want := range [][]string{{"ci.skip", "title=a \"b\" $c"}, nil, {"x"}} {
			var args []string
			for _, option := range want {
				args = append(args, "-o", option)
			}
			if out, err := p.push("main", args...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			got := p.repo.PushOptions()
			if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		}
	})
}

func TestLose(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend gitserver.Backend) {
		p := newPusher(t, backend)
		head := p.repo.Head("main")
		p.Faults.Set(gitserver.Only(gitserver.ReceivePack, gitserver.Lose()))
		p.Counter.Reset()
		if out, err := p.push("main"); err == nil {
			t.Errorf("the answer arrives:\n%s", out)
		}
		if got := p.repo.Head("main"); got == head {
			t.Error("the push was not done")
		}
		// The library of git tries a connection that was cut once more.
		if got := p.Counter.Counts(); got.ReceivePacks == 0 || got.Pushed < 100 || got.Pushed > 2000 {
			t.Errorf("%+v, want a push of an empty commit", got)
		}
	})
}
