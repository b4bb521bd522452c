package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

// firstMono makes the monorepo, and measures the time from the creation of its
// GitRepository to the first artifact. The floor is git clone --depth 1, which makes no
// archive.
func firstMono(ctx context.Context, w *world) (result, error) {
	m, err := newMonorepo(ctx, w)
	if err != nil {
		return result{}, err
	}
	head, err := m.repo.Head(branch)
	if err != nil {
		return result{}, err
	}
	var took time.Duration
	used, err := w.measured(ctx, func(ctx context.Context) (err error) {
		took, err = w.untilAll(ctx, []string{monoName}, head, func(ctx context.Context) error { return w.createSource(ctx, monoName, m.url) })
		return err
	})
	if err != nil {
		return result{}, err
	}
	size, err := w.artifactSize(ctx, monoName)
	if err != nil {
		return result{}, err
	}
	_, low, err := m.clone(ctx, w)
	return result{
		goal: "memory bounded", took: took, floor: low, rounds: 1, programs: used,
		notes: []string{
			fmt.Sprintf("%d files, %d commits; the floor is git clone --depth 1, without an archive", m.files, m.commits),
			fmt.Sprintf("the archive has %s MiB", mebibytes(size)),
		},
	}, err
}

// changeMono makes commits of one file to the monorepo, and measures the time from asking
// for a look at it until there is a new artifact. The floor is git fetch, which makes no
// archive.
func changeMono(ctx context.Context, w *world) (result, error) {
	m, err := w.openMonorepo(ctx)
	if err != nil {
		return result{}, err
	}
	next := m.commits
	times, used, err := w.rounds(ctx, func(ctx context.Context, _ int) (time.Duration, error) {
		revision, err := m.change(next)
		if next++; err != nil {
			return 0, err
		}
		return w.untilAll(ctx, []string{monoName}, revision, func(ctx context.Context) error { return w.ask(ctx, monoName) })
	})
	if err != nil {
		return result{}, err
	}
	low, err := w.floorMono(ctx, m, next)
	return result{
		goal: "0.3 CPU s; 1.5 x the floor's and what the archive takes", took: median(times), floor: low, rounds: w.opts.rounds, programs: used,
		notes: []string{"the floor is git fetch, without an archive", spread(times)},
	}, err
}

// openMonorepo returns the monorepo that was made before.
func (w *world) openMonorepo(ctx context.Context) (monorepo, error) {
	var source sourcev1.GitRepository
	if err := w.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: monoName}, &source); err != nil {
		return monorepo{}, err
	}
	repo, err := gitserver.Open(filepath.Join(w.Dir(), "git"), monoName)
	return monorepo{repo: repo, url: source.Spec.URL, files: w.opts.files * monoFiles, commits: w.opts.commits * monoCommits}, err
}

// floorMono fetches commits of one file with the git command, into the clone that there
// is. It returns nothing if there is no git command.
func (w *world) floorMono(ctx context.Context, m monorepo, next int) (*bound, error) {
	dir := filepath.Join(w.Dir(), monoName)
	rounds := make([]bound, w.opts.rounds)
	for round := range rounds {
		if _, err := m.change(next + round); err != nil {
			return nil, err
		}
		b, err := git(ctx, "-C", dir, "fetch", "--quiet", "origin", branch)
		if errors.Is(err, exec.ErrNotFound) {
			return nil, nil // no floor that anybody knows
		}
		if err != nil {
			return nil, err
		}
		rounds[round] = b
	}
	return medianOf(rounds), nil
}

// mostSources bounds how many GitRepositories there are of one remote: each has an
// artifact of its own on the disk.
const mostSources = 200

// manySources creates GitRepositories of one remote, lets them publish, and measures the
// time until all have what one commit more brings. There is no floor.
func manySources(ctx context.Context, w *world) (_ result, err error) {
	n := min(2*w.opts.apps, mostSources)
	repo, url, counter, stop, err := w.counted(ctx)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := fillLarge(repo, w.opts.files, 1); err != nil {
		return result{}, err
	}
	head, err := repo.Head(branch)
	if err != nil {
		return result{}, err
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("many-%04d", i)
	}
	create := func(ctx context.Context) error {
		for _, name := range names {
			if err := w.createSource(ctx, name, url); err != nil {
				return err
			}
		}
		return nil
	}
	first, err := w.untilAll(ctx, names, head, create)
	if err != nil {
		return result{}, err
	}
	before := counter.Counts()
	counter.Reset()
	var took time.Duration
	used, err := w.measured(ctx, func(ctx context.Context) error {
		revision, err := changeLarge(repo, w.opts.files, 1)
		if err != nil {
			return err
		}
		took, err = w.untilAll(ctx, names, revision, func(ctx context.Context) error {
			for _, name := range names {
				if err := w.ask(ctx, name); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	})
	if err != nil {
		return result{}, err
	}
	after := counter.Counts()
	return result{
		goal: "1 pack", took: took, rounds: 1, programs: used,
		notes: []string{
			fmt.Sprintf("%d GitRepositories of one remote of %d files, each asked to look at it", n, w.opts.files),
			fmt.Sprintf("the first artifact of all takes %s s; %s", seconds(first), asked(before)),
			"for the commit, " + asked(after),
		},
	}, w.deleteSources(ctx, names)
}

// asked tells what a remote was asked for.
func asked(c gitserver.Counts) string {
	return fmt.Sprintf("the remote is asked for refs %d times and for a pack %d times, and sends %d KiB", c.Advertisements, c.UploadPacks, c.Bytes>>10)
}

// counted starts a git server of its own, which counts, with an empty repository.
func (w *world) counted(ctx context.Context) (_ *gitserver.Repo, url string, _ *gitserver.Counter, stop func() error, _ error) {
	dir, counter := filepath.Join(w.Dir(), "counted"), &gitserver.Counter{}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, "", nil, nil, err
	}
	repo, err := gitserver.Init(dir, "many")
	if err != nil {
		return nil, "", nil, nil, err
	}
	handler, err := gitserver.NewHandler(dir, gitserver.Options{Middleware: []gitserver.Middleware{counter.Wrap}})
	if err != nil {
		return nil, "", nil, nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: longest}
	go func() { _ = server.Serve(l) }() // ends when it is closed
	return repo, "http://" + l.Addr().String() + "/many.git", counter, server.Close, nil
}

// untilAll does something and returns how long it takes from its beginning until all of
// some GitRepositories have an artifact of a revision.
func (w *world) untilAll(ctx context.Context, names []string, revision string, do func(context.Context) error) (time.Duration, error) {
	v, err := w.follow(ctx, &sourcev1.GitRepositoryList{}, client.InNamespace(namespace))
	if err != nil {
		return 0, err
	}
	defer v.stop()
	missing := make(map[string]bool, len(names))
	for _, name := range names {
		missing[name] = true
	}
	return v.within(ctx, do, once{"an artifact of " + revision + " for all", func(e watch.Event) bool {
		r, ok := e.Object.(*sourcev1.GitRepository)
		if ok && r.Status.Artifact != nil && strings.HasSuffix(r.Status.Artifact.Revision, revision) {
			delete(missing, r.Name)
		}
		return len(missing) == 0
	}})
}

// artifactSize returns the size of the archive of a GitRepository.
func (w *world) artifactSize(ctx context.Context, name string) (int64, error) {
	var source sourcev1.GitRepository
	if err := w.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &source); err != nil {
		return 0, err
	}
	if a := source.Status.Artifact; a != nil && a.Size != nil {
		return *a.Size, nil
	}
	return 0, fmt.Errorf("%s has no artifact with a size", name)
}

// deleteSources deletes GitRepositories, and waits until they are gone.
func (w *world) deleteSources(ctx context.Context, names []string) error {
	for _, name := range names {
		source := &sourcev1.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		if err := w.Client.Delete(ctx, source); err != nil {
			return err
		}
	}
	return w.settle(ctx)
}
