package verb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/tryout"
	"weir.dev/deploy/install"
)

// machine is this machine, for what weir up runs on it.
type machine struct {
	*session.Session
	dir, bin   string
	components []string
	detach     bool
	report     bool // to the process that has started this one
	remove     bool
}

func newUp(s *session.Session) *cobra.Command {
	m := &machine{Session: s}
	cmd := &cobra.Command{
		Use: "up", Short: "Run a cluster and the controllers on this machine, to try them", Args: cobra.NoArgs,
		Long: `Up starts a Kubernetes control plane and the controllers as processes of this machine, and
runs them until Ctrl-C; with --detach, until weir down. Nodes and Pods are simulated: no
container runs. What the cluster holds stays for the next time. If it runs already, up only
tells how to use it.`,
		Example: `  weir up
  eval "$(weir up --detach)" && weir check`,
		RunE: func(cmd *cobra.Command, _ []string) error { return m.up(cmd.Context()) },
	}
	m.bind(cmd.Flags())
	cmd.Flags().StringSliceVar(&m.components, "components", install.All(), "Controllers to run")
	cmd.Flags().BoolVar(&m.detach, "detach", false, "Run them in the background, until weir down")
	cmd.Flags().BoolVar(&m.report, "report", false, "Tell the process that has started this one what is done")
	_ = cmd.Flags().MarkHidden("report") // it is there
	return cmd
}

func newDown(s *session.Session) *cobra.Command {
	m := &machine{Session: s}
	cmd := &cobra.Command{
		Use: "down", Short: "End what weir up runs on this machine", Args: cobra.NoArgs,
		Long: `Down ends the cluster and the controllers that weir up has started, and waits until they
are gone. What the cluster holds stays for the next time, unless --delete is given.`,
		Example: `  weir down
  weir down --delete`,
		RunE: func(cmd *cobra.Command, _ []string) error { return m.down(cmd.Context()) },
	}
	m.bind(cmd.Flags())
	cmd.Flags().BoolVar(&m.remove, "delete", false, "Remove the folder, with everything that the cluster holds")
	return cmd
}

func (m *machine) bind(fs *pflag.FlagSet) {
	fs.StringVar(&m.dir, "dir", "", "Folder for everything that is made; by default weir/up in the cache of the user")
	fs.StringVar(&m.bin, "bin", "", "Folder of the programs; by default that of this one")
}

// options makes options of the flags.
func (m *machine) options() (tryout.Options, error) {
	o := tryout.Options{Dir: m.dir, Bin: m.bin, Namespace: m.Namespace()}
	if o.Dir == "" {
		cache := m.Getenv("XDG_CACHE_HOME")
		if home := m.Getenv("HOME"); cache == "" && home != "" {
			cache = filepath.Join(home, ".cache")
		}
		if cache == "" {
			return o, session.Hint(errors.New("there is no home to keep a cluster in"), "name a folder: --dir=<folder>")
		}
		o.Dir = filepath.Join(cache, "weir", "up")
	}
	if o.Bin == "" {
		self, err := os.Executable()
		if err != nil {
			return o, session.Hint(err, "name the folder of the programs: --bin=<folder>")
		}
		if self, err = filepath.EvalSymlinks(self); err != nil {
			return o, err
		}
		o.Bin = filepath.Dir(self)
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return o, err
	}
	o.Bin, err = filepath.Abs(o.Bin)
	return o, err
}

func (m *machine) up(ctx context.Context) error {
	o, err := m.options()
	if err != nil {
		return err
	}
	if o.Components, err = install.ParseComponents(m.components); err != nil {
		return err
	}
	if m.report {
		tell, works := tryout.Report()
		return m.run(ctx, o, tell, works)
	}
	if busy := tryout.Look(o.Dir); busy != nil {
		return m.runsAlready(busy)
	}
	if err := o.CheckPrograms(); err != nil {
		return session.Hint(err, "build them: make build; or name the folder that has them: --bin=<folder>")
	}
	bar := newProgress(m.Session, o.Steps())
	defer bar.end()
	if m.detach {
		return m.background(ctx, o, bar)
	}
	return m.run(ctx, o, bar.done, func() error {
		bar.end()
		m.invite(o.Dir)
		m.Waiting("Ctrl-C ends it; what the cluster holds stays for the next time")
		return nil
	})
}

// run runs everything until ctx ends.
func (m *machine) run(ctx context.Context, o tryout.Options, tell func(done string), works func() error) error {
	starting, cancel := m.Context(ctx)
	defer cancel()
	r, err := tryout.Start(starting, o, tell)
	if busy := (*tryout.BusyError)(nil); errors.As(err, &busy) {
		return m.runsAlready(busy)
	}
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("it was ended before everything ran")
		}
		return session.Hint(withFolder(err), "what the programs say is in the folder %s; begin with nothing: weir down --delete --dir=%s", o.Dir, o.Dir)
	}
	if err := works(); err != nil {
		return errors.Join(err, r.Stop())
	}
	<-ctx.Done()
	m.Say("ending the controllers and the control plane")
	return r.Stop()
}

// background has another process run everything.
func (m *machine) background(ctx context.Context, o tryout.Options, bar *progress) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"up", "--report", "--dir=" + o.Dir, "--bin=" + o.Bin, "--namespace=" + o.Namespace,
		"--components=" + strings.Join(o.Components, ","), "--timeout=" + m.Timeout.String()}
	if err := tryout.Background(ctx, o.Dir, self, args, bar.done); err != nil {
		return withFolder(err)
	}
	bar.end()
	m.invite(o.Dir)
	m.Done("it runs in the background, until: weir down%s", m.dirFlag())
	return nil
}

// runsAlready tells how to use what another process runs.
func (m *machine) runsAlready(busy *tryout.BusyError) error {
	if !busy.Working {
		return session.Hint(fmt.Errorf("process %d is about to start everything in %s", busy.PID, busy.Dir),
			"wait for it, or end it: weir down --dir=%s", busy.Dir)
	}
	m.Done("it runs already, by process %d", busy.PID)
	m.invite(busy.Dir)
	return nil
}

// invite says how to use the cluster. The first line is for a shell.
func (m *machine) invite(dir string) {
	fmt.Fprintf(m.Out, "export KUBECONFIG='%s'\n", strings.ReplaceAll(tryout.Kubeconfig(dir), "'", `'\''`))
	m.Say("with that line in your shell, look around:")
	fmt.Fprintf(m.Err, `    weir check
    weir get all -A
    weir bootstrap git --url=<repository> --path=clusters/mine --registry=localhost/weir
`)
}

// dirFlag is the flag by which another call means the same folder; "" if it need not.
func (m *machine) dirFlag() string {
	if m.dir == "" {
		return ""
	}
	return " --dir=" + m.dir
}

func (m *machine) down(ctx context.Context) error {
	o, err := m.options()
	if err != nil {
		return err
	}
	ctx, cancel := m.Context(ctx)
	defer cancel()
	m.Say("ending what runs in %s", o.Dir)
	ran, err := tryout.Down(ctx, o.Dir, o.Bin, m.remove)
	switch {
	case err != nil:
		return session.Hint(withFolder(err), "run the same command again; what the programs say is in the folder %s", o.Dir)
	case m.remove:
		m.Done("it has ended, and the folder is gone")
	case ran:
		m.Done("it has ended; what the cluster holds is kept for the next weir up")
	default:
		m.Done("nothing ran")
	}
	return nil
}

// withFolder says what to do about a folder that is not ours.
func withFolder(err error) error {
	if errors.Is(err, tryout.ErrForeign) {
		return session.Hint(err, "name another: --dir=<folder>")
	}
	return err
}
