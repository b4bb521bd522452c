package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/watch"

	sourcev1 "weir.dev/api/source/v1"
	"weir.dev/pkg/gitserver"
)

// large is the name of the large repository and of its GitRepository.
const large = "large"

// fetchLarge makes commits of one file to a large repository, and measures the time
// from asking for a look at it until there is a new artifact. The floor is git fetch,
// which makes no artifact of what it fetches; there is none without the git command.
func fetchLarge(ctx context.Context, w *world) (result, error) {
	repo, url, err := w.Repository(large)
	if err != nil {
		return result{}, err
	}
	if err := fillLarge(repo, w.opts.files, w.opts.commits); err != nil {
		return result{}, err
	}
	first, err := w.firstFetch(ctx, repo, url)
	if err != nil {
		return result{}, err
	}
	times, used, err := w.rounds(ctx, func(ctx context.Context, round int) (time.Duration, error) {
		revision, err := changeLarge(repo, w.opts.files, w.opts.commits+round)
		if err != nil {
			return 0, err
		}
		return w.untilPublished(ctx, revision, func(ctx context.Context) error { return w.ask(ctx, large) })
	})
	if err != nil {
		return result{}, err
	}
	low, err := w.floorFetch(ctx, repo, url)
	return result{
		goal: "0.1 s, cost by the change", took: median(times), floor: low, rounds: w.opts.rounds, programs: used,
		notes: []string{
			fmt.Sprintf("%d files, %d commits; the floor is git fetch, without an archive", w.opts.files, w.opts.commits),
			fmt.Sprintf("the first fetch takes %s s; then %s", seconds(first), spread(times)),
		},
	}, err
}

// firstFetch creates the GitRepository and returns how long its first artifact takes.
func (w *world) firstFetch(ctx context.Context, repo *gitserver.Repo, url string) (time.Duration, error) {
	revision, err := repo.Head(branch)
	if err != nil {
		return 0, err
	}
	if err := w.settle(ctx); err != nil {
		return 0, err
	}
	return w.untilPublished(ctx, revision, func(ctx context.Context) error { return w.createSource(ctx, large, url) })
}

// untilPublished does something and returns how long it takes from its beginning until
// the large repository has an artifact of a revision.
func (w *world) untilPublished(ctx context.Context, revision string, do func(context.Context) error) (time.Duration, error) {
	v, err := w.follow(ctx, &sourcev1.GitRepositoryList{}, named(namespace, large)...)
	if err != nil {
		return 0, err
	}
	defer v.stop()
	began := time.Now()
	if err := do(ctx); err != nil {
		return 0, err
	}
	end, err := v.until(ctx, once{"an artifact of " + revision, func(e watch.Event) bool {
		r, ok := e.Object.(*sourcev1.GitRepository)
		return ok && r.Status.Artifact != nil && strings.HasSuffix(r.Status.Artifact.Revision, revision)
	}})
	return end.Sub(began), err
}

// floorFetch fetches one-file commits with the git command, into a bare clone as deep
// as what source-controller keeps. It returns nothing if there is no git command.
func (w *world) floorFetch(ctx context.Context, repo *gitserver.Repo, url string) (*bound, error) {
	clone := filepath.Join(w.Dir(), "clone")
	_, err := git(ctx, "clone", "--quiet", "--bare", "--depth=1", "--branch="+branch, url, clone)
	if errors.Is(err, exec.ErrNotFound) {
		return nil, nil // no floor that anybody knows
	}
	if err != nil {
		return nil, err
	}
	rounds := make([]bound, w.opts.rounds)
	for round := range rounds {
		if _, err := changeLarge(repo, w.opts.files, w.opts.commits+w.opts.rounds+round); err != nil {
			return nil, err
		}
		if rounds[round], err = git(ctx, "-C", clone, "fetch", "--quiet", "origin", branch); err != nil {
			return nil, err
		}
	}
	return medianOf(rounds), nil
}

// git runs the git command, without anybody's configuration.
func git(ctx context.Context, args ...string) (bound, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0")
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return bound{}, fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, out)
	}
	state := cmd.ProcessState
	return bound{took: time.Since(began), cost: cost{cpu: state.UserTime() + state.SystemTime()}}, nil
}
