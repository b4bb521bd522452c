package gitrepository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/artifact/store"
	"weir.dev/pkg/creds"
	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
	"weir.dev/pkg/loop"
	"weir.dev/source-controller/internal/source"
)

// TestArchiveCostFollowsTheChange publishes commits one after the other. Each is made
// from the archive before it, with few of its files read, and is the same as from none.
func TestArchiveCostFollowsTheChange(t *testing.T) {
	t.Parallel()
	const files, most = 3000, 1000 // of which a change may read; a group has 128 on average
	w := newPublisher(t)
	all := make(map[string]string)
	for i := range files {
		all[fmt.Sprintf("apps/%02d/config-%03d.yaml", i/100, i%100)] = fmt.Sprint("value: ", i)
	}
	first := w.repo.Commit("main", "all", gitserver.Files(all)...)
	repo := w.publish(named("followed", sourcev1.GitRepositorySpec{}))
	if n := w.read(repo); n != 0 {
		t.Errorf("%d files are read for the commit that is published", n)
	}
	ignore := "*.md"
	for _, step := range []struct {
		name   string
		change func()
	}{
		{"one file", func() { w.repo.Commit("main", "one", gitserver.File("apps/07/config-050.yaml", "changed")) }},
		{"a new file", func() { w.repo.Commit("main", "new", gitserver.File("apps/07/readme.md", "new")) }},
		{"a file less", func() { w.repo.Commit("main", "less", gitserver.Delete("apps/20/config-000.yaml")) }},
		{"another mode", func() { w.repo.Commit("main", "mode", gitserver.Executable("apps/11/config-011.yaml", "x")) }},
		{"an ignore rule", func() { repo.Spec.Ignore = &ignore }},
		{"back to the beginning", func() { w.repo.Reset("main", first) }},
	} {
		step.change()
		if n := w.read(repo); n > most {
			t.Errorf("%s: %d files were read of %d, want no more than %d", step.name, n, files, most)
		}
		w.publish(repo)
		fresh := w.publish(named("fresh", repo.Spec))
		if diff := cmp.Diff(fresh.Status.Artifact.Digest, repo.Status.Artifact.Digest); diff != "" {
			t.Errorf("%s: digest (-from nothing +from the last archive):\n%s", step.name, diff)
		}
	}
}

// TestArchiveOfAnotherOrigin: what cannot be copied from is replaced.
func TestArchiveOfAnotherOrigin(t *testing.T) {
	t.Parallel()
	w := newPublisher(t)
	w.repo.Commit("main", "one", gitserver.File("a", "1"))
	repo := w.publish(named("followed", sourcev1.GitRepositorySpec{}))
	want := repo.Status.Artifact.Digest
	err := w.shelf.Put(repo, "old.tar.gz", "main@sha1:old", func(out io.Writer) error {
		a := archive.NewWriter(out, archive.Limits{}) // as Flux does
		return errors.Join(a.File("a", false, 1, strings.NewReader("0")), a.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.publish(repo).Status.Artifact.Digest; got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// publisher is a Reconciler without a cluster, and a repository that it publishes.
type publisher struct {
	*Reconciler
	t      *testing.T
	repo   *gitservertest.Repo
	remote *git.Remote
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	s := gitservertest.Start(t, gitserver.Options{Backend: gitserver.GoGit})
	files, err := store.Open(store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	stores, err := git.OpenStores(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	remote, err := git.NewRemote(s.URL("fleet"), creds.Git{})
	if err != nil {
		t.Fatal(err)
	}
	r := New(source.Services{Files: files, BaseURL: "http://example.com/"}, stores, git.NewClient(git.Limits{}), time.Minute)
	r.save = func(context.Context, *sourcev1.GitRepository) error { return nil } // nobody looks
	return &publisher{Reconciler: r, t: t, repo: s.Repo("fleet"), remote: remote}
}

func named(name string, spec sourcev1.GitRepositorySpec) *sourcev1.GitRepository {
	spec.Reference = &sourcev1.GitRepositoryRef{Branch: "main"}
	return &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name}, Spec: spec}
}

// publish publishes what is on the branch now.
func (p *publisher) publish(repo *sourcev1.GitRepository) *sourcev1.GitRepository {
	p.t.Helper()
	s := p.fetched(repo)
	if err := p.Reconciler.publish(p.t.Context(), s); err != nil {
		p.t.Fatal(err)
	}
	return repo
}

// fetched is a run in which everything was done but to publish.
func (p *publisher) fetched(repo *sourcev1.GitRepository) *scope {
	p.t.Helper()
	s := &scope{repo: repo, remote: p.remote, objects: p.stores.For(p.remote)}
	p.t.Cleanup(s.close)
	if err := loop.Run(p.t.Context(), s, p.resolveRevision, p.fetch, p.list); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// read returns how many files are read in order to publish what is on the branch now.
func (p *publisher) read(repo *sourcev1.GitRepository) int {
	p.t.Helper()
	s := p.fetched(repo)
	files, err := kept(s.files, repo.Spec.Ignore)
	if err != nil {
		p.t.Fatal(err)
	}
	earlier, done := p.earlier(p.t.Context(), s)
	defer done()
	if earlier == nil {
		p.t.Error("there is nothing to copy from")
	}
	counted := &counting{Files: contents(files)}
	if err := archive.WriteTree(io.Discard, archive.Limits{}, nodes(files), counted, earlier); err != nil {
		p.t.Fatal(err)
	}
	return counted.opened
}

// counting counts the files that are opened.
type counting struct {
	archive.Files
	opened int
}

func (c *counting) Open(i int) (io.ReadCloser, error) {
	c.opened++
	return c.Files.Open(i)
}
