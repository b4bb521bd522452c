package gitrepository

import (
	"errors"
	"testing"
	"time"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

// TestSubmodulesStayInUse: while nothing is new, what was fetched of submodules is kept as
// long as what was fetched of the repository.
func TestSubmodulesStayInUse(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	// The repository at an earlier commit serves as its own submodule.
	earlier := p.repo.Commit("main", "earlier", gitserver.File("a", "1"))
	p.repo.Commit("main", "now", gitserver.Submodule("sub", earlier),
		gitserver.File(".gitmodules", "[submodule \"sub\"]\n\tpath = sub\n\turl = ../fleet.git\n"))
	repo := named("followed", sourcev1.GitRepositorySpec{RecurseSubmodules: true})
	repo.UID = "1"
	s := p.fetched(repo)
	if err := errors.Join(p.addSubmodules(t.Context(), s), p.Reconciler.publish(t.Context(), s)); err != nil {
		t.Fatal(err)
	}
	since := time.Now()
	s = p.polled(repo)
	if err := p.stopIfPublished(t.Context(), s); err == nil {
		t.Error("the run goes on, and there is nothing new")
	}
	if n, err := p.stores.Sweep(since); n != 0 || err != nil {
		t.Errorf("%d object stores of a repository and its submodule were removed as unused, %v", n, err)
	}
	p.modules.Delete(repo.UID)
	since = time.Now()
	p.polled(repo)
	if n, err := p.stores.Sweep(since); n != 1 || err != nil {
		t.Errorf("%d object stores were removed, %v; want that of what is no submodule any more", n, err)
	}
}

// polled is a run that has asked for the refs.
func (p *publisher) polled(repo *sourcev1.GitRepository) *scope {
	p.t.Helper()
	s := &scope{repo: repo, remote: p.remote, objects: p.stores.For(p.remote)}
	p.t.Cleanup(s.close)
	if err := p.resolveRevision(p.t.Context(), s); err != nil {
		p.t.Fatal(err)
	}
	return s
}
