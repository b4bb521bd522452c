package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"weir.dev/deploy/internal/stack"
)

// profiled is for how long a profile is taken, unless what is done takes less.
const profiled = 10 * time.Second

// busy is what all processes used while somebody did the work of a scenario, up to the
// moment at which the work was done. Where they used every core, the time is that of the
// CPU, and nothing but less work makes it shorter.
type busy struct {
	who    string
	took   time.Duration
	plane  time.Duration // CPU of the control plane
	client time.Duration // and of who did it
}

// watched does something and returns what all processes used for it. How long it took is
// what it says itself. A profile is taken where -profiles asks for it.
func (w *world) watched(ctx context.Context, who string, do func(context.Context) (time.Duration, error)) (busy, error) {
	b := busy{who: who}
	err := w.profiled(ctx, w.scenario+" by "+who, func(ctx context.Context) error {
		plane, client, err := w.cpu()
		if err != nil {
			return err
		}
		if b.took, err = do(ctx); err != nil {
			return err
		}
		b.plane, b.client, err = w.cpu()
		b.plane, b.client = b.plane-plane, b.client-client
		return err
	})
	return b, err
}

// cpu returns what the control plane and its clients, this process among them, have used
// so far.
func (w *world) cpu() (plane, clients time.Duration, err error) {
	for _, pid := range w.planePIDs {
		used, _, err := usage(pid)
		if err != nil {
			return 0, 0, fmt.Errorf("measuring the control plane: %w", err)
		}
		plane += used
	}
	clients = ownCPU()
	for _, p := range w.meter.programs {
		used, _, err := usage(p.pid)
		if err != nil {
			return 0, 0, fmt.Errorf("measuring %s: %w", p.name, err)
		}
		clients += used
	}
	return plane, clients, nil
}

// findPlane notes the processes of the control plane.
func (w *world) findPlane(ctx context.Context) error {
	all, err := w.Components(ctx)
	for name, pid := range all {
		if pid == 0 {
			return fmt.Errorf("%s does not run", name)
		}
		w.planePIDs = append(w.planePIDs, pid)
	}
	return err
}

// profiled does something, and meanwhile takes profiles of the API server and of every
// program, if -profiles names a folder for them.
func (w *world) profiled(ctx context.Context, what string, do func(context.Context) error) error {
	if w.opts.profiles == "" {
		return do(ctx)
	}
	if err := os.MkdirAll(w.opts.profiles, 0o755); err != nil {
		return err
	}
	path := fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(profiled.Seconds()))
	var g errgroup.Group
	g.Go(func() error { return do(ctx) })
	g.Go(func() error {
		data, err := w.floor.get(ctx, path)
		if err != nil {
			return fmt.Errorf("profile of the API server: %w", err)
		}
		return w.keep(what, stack.APIServer, data)
	})
	for _, p := range w.meter.programs {
		g.Go(func() error {
			data, err := p.get(ctx, path)
			if err != nil {
				return fmt.Errorf("profile of %s: %w", p.name, err)
			}
			return w.keep(what, p.name, []byte(data))
		})
	}
	return g.Wait()
}

// keep writes a profile under a name that says of what it is.
func (w *world) keep(what, program string, data []byte) error {
	name := strings.NewReplacer(" ", "-", ",", "").Replace(what) + "-" + program + ".pprof"
	return os.WriteFile(filepath.Join(w.opts.profiles, name), data, 0o644)
}

func busyColumns() []column {
	return []column{
		{title: "scenario", left: true}, {title: "who", left: true}, {title: "time [s]"}, {title: "control plane [CPU s]"},
		{title: "client [CPU s]"}, {title: "of the cores"},
	}
}

func busyRows(results []result, cores int) [][]string {
	var rows [][]string
	for _, r := range results {
		name := r.name
		for _, b := range r.busy {
			share := nothing
			if b.took > 0 {
				share = fmt.Sprintf("%.0f %%", 100*float64(b.plane+b.client)/float64(b.took)/float64(cores))
			}
			rows = append(rows, []string{name, b.who, seconds(b.took), cpu(b.plane, 1), cpu(b.client, 1), share})
			name = ""
		}
	}
	return rows
}
