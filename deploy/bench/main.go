// Bench measures weir as a whole: it starts a Kubernetes control plane, a git server
// and the controllers on this machine, goes through the scenarios, and prints what
// each took beside its floor. The floor is the least that the same work can take: one
// client without any logic that applies the same objects.
//
// Ratios to the floor are what carries over to other machines; times are not.
//
// Other controllers of the same names, flags and API are measured in the same way where
// BENCH_CONTROLLERS names the folder that they are in.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// run measures everything and writes the report to stdout. It tells on stderr how far
// it is, and fails if any scenario does not happen with weir.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) (err error) {
	opts, err := parse(args, getenv, stderr)
	if err != nil {
		return err
	}
	about, err := describe(opts)
	if err != nil {
		return err
	}
	w, err := start(ctx, opts, stderr)
	if w != nil {
		defer func() { err = w.end(err) }()
	}
	if err != nil {
		return err
	}
	if about.kubernetes, err = w.version(ctx); err != nil {
		return err
	}
	results, err := measure(ctx, w, scenarios(opts))
	if err != nil {
		return err
	}
	report := render(about, opts, results)
	if _, err := io.WriteString(stdout, report); err != nil {
		return err
	}
	return save(opts, about, report)
}

// scenario is one thing that is measured. It leaves the cluster as the next one needs
// it: every application applied and live.
type scenario struct {
	name string
	run  func(context.Context, *world) (result, error)
}

// scenarios returns all there are, in the order in which they build on each other. Those of
// images need a controller that others are not asked for, those of releases one that they may have.
func scenarios(o options) []scenario {
	all := []scenario{
		{"install all", installAll},
		{"upgrade one", upgradeOne},
		{"upgrade all", upgradeAll},
		{"idle", idle},
		{"field changed by hand", changeFields},
		{"same field changed again and again", changeAgain},
		{"object deleted by hand", deleteObjects},
		{"one-file commit, large repository", fetchLarge},
		{"first fetch, monorepo", firstMono},
		{"one-file commit, monorepo", changeMono},
		{"one-file commit, many sources", manySources},
	}
	if o.releases() {
		all = append(all, []scenario{
			{"install all releases", installReleases},
			{"upgrade all releases by a value", upgradeValues},
			{"upgrade all releases by chart", upgradeCharts},
			{"idle with releases", idleReleases},
			{"field of a release changed by hand", changeReleased},
			{"remove all releases", removeReleases},
		}...)
	}
	if !o.foreign() {
		all = append(all, []scenario{
			{"image pushed, live", pushImages},
			{"new tag, marked files of the monorepo", markMono},
			{"new tag, many policies", manyPolicies},
		}...)
	}
	return o.chosen(all)
}

// chosen leaves out what was not asked for.
func (o options) chosen(all []scenario) []scenario {
	return slices.DeleteFunc(all, func(s scenario) bool { return !strings.Contains(s.name, o.only) })
}

// measure goes through the scenarios. What other controllers than weir's cannot do, or
// not in time, is marked.
func measure(ctx context.Context, w *world, list []scenario) ([]result, error) {
	results := make([]result, 0, len(list))
	for _, s := range list {
		w.scenario = s.name
		r, err := s.run(ctx, w)
		switch {
		case err == nil:
		case !w.opts.foreign() || ctx.Err() != nil:
			return nil, fmt.Errorf("%s: %w", s.name, err)
		default:
			r = result{failed: true, rounds: 1, notes: []string{"it did not happen: " + err.Error()}}
		}
		if w.restless > 0 {
			r.notes = append(r.notes, fmt.Sprintf("the cluster did not come to rest within %s, %d times: some of what was used may be for something else", unrest, w.restless))
			w.restless = 0
		}
		r.name = s.name
		results = append(results, r)
		fmt.Fprintf(w.progress, "measured %s\n", s.name)
	}
	return results, nil
}

// options are the flags.
type options struct {
	apps          int
	interval      time.Duration
	idle          time.Duration
	rounds        int
	pause         time.Duration
	files         int
	commits       int
	pushes        int
	pushInterval  time.Duration
	dir, bin, out string
	controllers   string
	profiles      string
	only          string
}

// foreign reports whether controllers are measured that are not those of bin.
func (o options) foreign() bool { return o.controllers != "" }

// standardApps is how many applications there are unless a flag says otherwise.
const standardApps = 100

// quick are the values under -quick, of flags that are not given: just enough to see
// that everything happens. What is measured then means little.
func quick() map[string]string {
	return map[string]string{"n": "10", "interval": "2s", "idle": "5s", "rounds": "2", "pause": "500ms", "files": "100", "commits": "10", "pushes": "2", "push-interval": "1s"}
}

func parse(args []string, getenv func(string) string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.apps, "n", standardApps, "number of Kustomizations, of four objects each")
	fs.DurationVar(&o.interval, "interval", time.Minute, "interval of the Kustomizations and of the GitRepository")
	fs.DurationVar(&o.idle, "idle", time.Minute, "how long to look on while nothing happens")
	fs.IntVar(&o.rounds, "rounds", 6, "how often what is short is measured, for its median")
	fs.DurationVar(&o.pause, "pause", 3*time.Second, "time between changes by hand of the same field; a few in a row, less than a second apart, are taken for a fight")
	fs.IntVar(&o.files, "files", 1000, "files of the large repository")
	fs.IntVar(&o.commits, "commits", 200, "commits of the large repository")
	fs.IntVar(&o.pushes, "pushes", 20, "how often an image is pushed, of which nobody is told")
	fs.DurationVar(&o.pushInterval, "push-interval", 5*time.Second, "interval of what leads from an image to where it runs")
	fs.StringVar(&o.dir, "dir", filepath.Join(".cache", "bench"), "folder for everything that runs; emptied at the start, gone at the end")
	fs.StringVar(&o.bin, "bin", "bin", "folder of the programs")
	fs.StringVar(&o.controllers, "controllers", getenv("BENCH_CONTROLLERS"), "folder of other controllers to measure: source-controller, kustomize-controller and, for releases, helm-controller, which take the same flags (environment: BENCH_CONTROLLERS)")
	fs.StringVar(&o.profiles, "profiles", "", "folder for CPU profiles of the API server and the controllers while all is installed and upgraded; it makes both slower")
	fs.StringVar(&o.out, "out", "", "also write the report to this file, or into this folder under the date, the kind of machine, and what is not as usual")
	fs.StringVar(&o.only, "only", "", "measure only the scenarios with this in their name, as \"release\" or \"image\"; those of Kustomizations build on \"install all\"")
	brief := fs.Bool("quick", false, "measure little, to see that everything works")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if *brief {
		given := map[string]bool{}
		fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
		for name, value := range quick() {
			if given[name] {
				continue
			}
			if err := fs.Set(name, value); err != nil {
				return o, err
			}
		}
	}
	return o, o.validate(fs.NArg())
}

func (o options) validate(rest int) error {
	switch {
	case rest > 0:
		return errors.New("only flags are understood: see -help")
	case o.apps < 1 || o.rounds < 1 || o.files < 1 || o.commits < 1 || o.pushes < 1:
		return errors.New("-n, -rounds, -files, -commits and -pushes must be 1 or more")
	case len(scenarios(o)) == 0:
		return fmt.Errorf("-only: no scenario has %q in its name", o.only)
	case o.interval <= 0 || o.idle <= 0 || o.pause <= 0 || o.pushInterval <= 0:
		return errors.New("-interval, -idle, -pause and -push-interval must be more than nothing")
	}
	return nil
}

// save writes the report where -out says.
func save(o options, about machine, report string) error {
	out := o.out
	if out == "" {
		return nil
	}
	if info, err := os.Stat(out); err == nil && info.IsDir() {
		out = filepath.Join(out, reportName(o, about))
	}
	return os.WriteFile(out, []byte(report), 0o644)
}

// reportName is that of a report among others: results that cannot be compared do not
// replace each other.
func reportName(o options, about machine) string {
	name := fmt.Sprintf("%s-%dcore", about.date, about.cores)
	if o.apps != standardApps {
		name += fmt.Sprintf("-%dapps", o.apps)
	}
	if o.only != "" {
		name += "-" + strings.ReplaceAll(o.only, " ", "-")
	}
	if o.foreign() {
		name += "-" + filepath.Base(o.controllers)
	}
	return name + ".txt"
}
