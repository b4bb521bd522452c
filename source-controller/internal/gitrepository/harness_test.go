package gitrepository_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
	"weir.dev/source-controller/internal/program"
	"weir.dev/source-controller/internal/sourcetest"
)

// world is a plane with a git server and a source-controller.
type world struct {
	*sourcetest.World
	t    *testing.T
	git  *gitservertest.Server
	repo *gitservertest.Repo // the repository "fleet" of git, which sources follow
}

// newWorld starts a controller. More flags may be given to it.
func newWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	w := prepareWorld(t)
	w.Start(flags...)
	return w
}

// prepareWorld is newWorld without a controller.
func prepareWorld(t *testing.T) *world {
	t.Helper()
	w := &world{World: sourcetest.Prepare(t, program.Run), t: t, git: gitservertest.Start(t, gitserver.Options{})}
	w.repo = w.git.Repo("fleet")
	return w
}

// source creates a GitRepository that follows the branch main of the repository,
// which adjust may change.
func (w *world) source(name string, adjust ...func(*sourcev1.GitRepositorySpec)) *sourcev1.GitRepository {
	w.t.Helper()
	repo := &sourcev1.GitRepository{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: sourcev1.GitRepositorySpec{
			URL:       w.git.URL("fleet"),
			Interval:  metav1.Duration{Duration: time.Hour},
			Reference: &sourcev1.GitRepositoryRef{Branch: "main"},
		},
	}
	for _, f := range adjust {
		f(&repo.Spec)
	}
	w.Create(repo)
	return repo
}

// stored lists the names of the files that the storage has for repo.
func (w *world) stored(repo *sourcev1.GitRepository) []string {
	w.t.Helper()
	return w.Stored(sourcev1.GitRepositoryKind, repo)
}
