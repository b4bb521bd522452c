package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/gitserver"
)

// world is everything that runs during the demo.
type world struct {
	*stack.Stack
	gitURL   string
	repo     *gitserver.Repo
	registry string // host and port of a registry
	head     string // the commit that the newest image came by
}

// start brings up the plane, the git server and the controllers. What it returns
// must be stopped even if there is an error.
func start(ctx context.Context, dir, bin string) (*world, error) {
	all, err := stack.New(dir, bin)
	if err != nil {
		return nil, err
	}
	if err := all.Clear(ctx); err != nil {
		return nil, fmt.Errorf("removing what an earlier demo left: %w", err)
	}
	w := &world{Stack: all}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"a Kubernetes control plane", w.StartPlane},
		{"a git server", w.startGit},
		{"a container registry", w.startRegistry},
		{"the API of weir", func(ctx context.Context) error { return w.InstallAPI(ctx, namespace) }},
		{"source-controller, kustomize-controller, helm-controller and image-controller", w.startControllers},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return w, fmt.Errorf("starting %s: %w", step.what, err)
		}
		fmt.Fprintf(os.Stdout, "started %s (%s)\n", step.what, short(time.Since(began)))
	}
	return w, nil
}

func (w *world) startGit(ctx context.Context) (err error) {
	if err := w.StartGit(ctx); err != nil {
		return err
	}
	w.repo, w.gitURL, err = w.Repository("my-app")
	return err
}

func (w *world) startControllers(ctx context.Context) error {
	if _, err := w.SourceController(ctx); err != nil {
		return err
	}
	if _, err := w.KustomizeController(ctx); err != nil {
		return err
	}
	if _, err := w.HelmController(ctx); err != nil {
		return err
	}
	_, err := w.ImageController(ctx)
	return err
}

// short prints a duration for people.
func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
