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

	"weir.dev/pkg/gitserver"
)

const (
	// mostMarked is how many files of the monorepo have a marker.
	mostMarked = 50
	// monoImage is the name of their image, and of what follows it.
	monoImage = "mono-image"
)

// markMono gives files of the monorepo a marker, and measures the time from when a policy
// selects another tag until the commit is on the git server. The floor is what a person
// does who has no clone: git clone --depth 1, an edit of those files, git commit and git
// push.
func markMono(ctx context.Context, w *world) (_ result, err error) {
	r, err := startRegistry(ctx)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	m, err := w.openMonorepo(ctx)
	if err != nil {
		return result{}, err
	}
	files := m.markedFiles(r)
	if _, err := m.repo.Commit(branch, "Mark images", gitserver.Files(files)...); err != nil {
		return result{}, err
	}
	scans, policy, updates := scanner(monoImage, r, seldom), selector(monoImage, monoImage, "1.x"), updater(monoImage, monoName, seldom)
	if err := r.push(ctx, monoImage, imageTag(0)); err != nil {
		return result{}, err
	}
	if _, err := w.untilSelected(ctx, monoImage, imageTag(0), func(ctx context.Context) error { return w.create(ctx, scans, policy) }); err != nil {
		return result{}, err
	}
	first, err := w.firstMarked(ctx, m, func(ctx context.Context) error { return w.create(ctx, updates) })
	if err != nil {
		return result{}, err
	}
	times, used, err := w.rounds(ctx, func(ctx context.Context, round int) (time.Duration, error) {
		tag := imageTag(round + 1)
		if err := r.push(ctx, monoImage, tag); err != nil {
			return 0, err
		}
		return w.untilUpdated(ctx, m, tag, func(ctx context.Context) error { return w.askFor(ctx, scanner(monoImage, r, seldom)) })
	})
	if err != nil {
		return result{}, err
	}
	if err := w.remove(ctx, updates, policy, scans); err != nil {
		return result{}, err
	}
	low, err := w.floorMarked(ctx, m, files)
	return result{
		goal: "time by the files with markers", took: median(times), floor: low, rounds: w.opts.rounds, programs: used,
		notes: []string{
			fmt.Sprintf("%d of %d files have a marker; the floor is git clone --depth 1, an edit of those files, git commit and git push", len(files), m.files),
			fmt.Sprintf("the first commit, for which everything is fetched and read, takes %s s; then %s", seconds(first), spread(times)),
		},
	}, err
}

// markedFiles are the files that get a marker, all over the monorepo, by path.
func (m monorepo) markedFiles(r *images) map[string]string {
	files := map[string]string{}
	n := min(mostMarked, m.files)
	for i := range n {
		name := fmt.Sprintf("marked-%02d", i)
		files[monoPath(i*m.files/n)] = strings.NewReplacer(
			"NAMESPACE", appSpace, "NAME", name, "IMAGE", r.image(monoImage), "TAG", oldTag, "POLICY", namespace+":"+monoImage,
		).Replace(markedFile)
	}
	return files
}

// firstMarked lets the automation begin and returns how long its first commit takes.
func (w *world) firstMarked(ctx context.Context, m monorepo, begin func(context.Context) error) (time.Duration, error) {
	if err := w.settle(ctx); err != nil {
		return 0, err
	}
	before, err := m.repo.Head(branch)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := begin(ctx); err != nil {
		return 0, err
	}
	_, end, err := w.untilMoved(ctx, m.repo, before)
	return end.Sub(began), err
}

// untilUpdated asks for a scan and returns how long it takes from when the policy selects
// a tag until there is a commit. The archive that is made of the one before is waited for.
func (w *world) untilUpdated(ctx context.Context, m monorepo, tag string, ask func(context.Context) error) (time.Duration, error) {
	if err := w.settle(ctx); err != nil {
		return 0, err
	}
	before, err := m.repo.Head(branch)
	if err != nil {
		return 0, err
	}
	began, err := w.untilSelected(ctx, monoImage, tag, ask)
	if err != nil {
		return 0, err
	}
	_, end, err := w.untilMoved(ctx, m.repo, before)
	return end.Sub(began), err
}

// floorMarked updates the marked files as a person does, who knows which they are. It
// returns nothing if there is no git command.
func (w *world) floorMarked(ctx context.Context, m monorepo, files map[string]string) (*bound, error) {
	rounds := make([]bound, w.opts.rounds)
	for round := range rounds {
		if err := w.settle(ctx); err != nil {
			return nil, err
		}
		b, err := m.updateByHand(ctx, filepath.Join(w.Dir(), "by-hand"), files, fmt.Sprintf("2.%d.0", round))
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

// updateByHand clones the monorepo, writes a tag to files, commits and pushes that, and
// returns what it takes.
func (m monorepo) updateByHand(ctx context.Context, dir string, files map[string]string, tag string) (bound, error) {
	if err := os.RemoveAll(dir); err != nil {
		return bound{}, err
	}
	cpu, began := time.Duration(0), time.Now()
	run := func(args ...string) error {
		b, err := git(ctx, args...)
		cpu += b.cpu
		return err
	}
	if err := run("clone", "--quiet", "--depth=1", "--branch="+branch, m.url, dir); err != nil {
		return bound{}, err
	}
	for path, content := range files {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(strings.Replace(content, ":"+oldTag, ":"+tag, 1)), 0o644); err != nil {
			return bound{}, err
		}
	}
	if err := run("-C", dir, "-c", "user.name=Bench", "-c", "user.email=bench@example.com", "commit", "--quiet", "--all", "--message=Update images"); err != nil {
		return bound{}, err
	}
	err := run("-C", dir, "push", "--quiet", "origin", branch)
	return bound{took: time.Since(began), cost: cost{cpu: cpu}}, err
}
