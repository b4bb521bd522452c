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

// part is something that is started.
type part struct {
	what string
	do   func(context.Context) error
}

// begin starts parts, one after the other.
func begin(ctx context.Context, parts []part) error {
	for _, p := range parts {
		began := time.Now()
		if err := p.do(ctx); err != nil {
			return fmt.Errorf("starting %s: %w", p.what, err)
		}
		fmt.Fprintf(os.Stdout, "started %s (%s)\n", p.what, short(time.Since(began)))
	}
	return nil
}

// parts are the plane, the servers and the controllers.
func (w *world) parts() []part {
	return []part{
		{"a Kubernetes control plane", w.StartPlane},
		{"a git server", w.startGit},
		{"a container registry", w.startRegistry},
		{"the API of weir", func(ctx context.Context) error { return w.InstallAPI(ctx, namespace) }},
		{"source-controller, kustomize-controller, helm-controller and image-controller", w.startControllers},
	}
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
