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

// upper runs weir on this machine.
type upper struct {
	*session.Session
	dir, bin   string
	components []string
	detach     bool
	report     bool // to the process that has started this one
	remove     bool
}

func newUp(s *session.Session) *cobra.Command {
	u := &upper{Session: s}
	cmd := &cobra.Command{
		Use: "up", Short: "Run a cluster and the controllers on this machine, to try them", Args: cobra.NoArgs,
		Long: `Up starts a Kubernetes control plane and the controllers as processes of this machine, and
runs them until Ctrl-C; with --detach, until weir down. Nodes and Pods are simulated: no
container runs. What the cluster holds stays for the next time. If it runs already, up only
tells how to use it.`,
		Example: `  weir up
  eval "$(weir up --detach)" && weir get all -A`,
		RunE: func(cmd *cobra.Command, _ []string) error { return u.up(cmd.Context()) },
	}
	u.bind(cmd.Flags())
	cmd.Flags().StringSliceVar(&u.components, "components", install.All(), "Controllers to run")
	cmd.Flags().BoolVar(&u.detach, "detach", false, "Run them in the background, until weir down")
	cmd.Flags().BoolVar(&u.report, "report", false, "Tell the process that has started this one what is done")
	_ = cmd.Flags().MarkHidden("report") // it is there
	return cmd
}

func newDown(s *session.Session) *cobra.Command {
	u := &upper{Session: s}
	cmd := &cobra.Command{
		Use: "down", Short: "End what weir up runs on this machine", Args: cobra.NoArgs,
		Long: `Down ends the cluster and the controllers that weir up has started, and waits until they
are gone. What the cluster holds stays for the next time, unless --delete is given.`,
		Example: `  weir down
  weir down --delete`,
		RunE: func(cmd *cobra.Command, _ []string) error { return u.down(cmd.Context()) },
	}
	u.bind(cmd.Flags())
	cmd.Flags().BoolVar(&u.remove, "delete", false, "Remove the folder, with everything that the cluster holds")
	return cmd
}

func (u *upper) bind(fs *pflag.FlagSet) {
	fs.StringVar(&u.dir, "dir", "", "Folder for everything that is made; by default weir/up in the cache of the user")
	fs.StringVar(&u.bin, "bin", "", "Folder of the programs; by default that of this one")
}

// options makes options of the flags.
func (u *upper) options() (tryout.Options, error) {
	o := tryout.Options{Dir: u.dir, Bin: u.bin, Namespace: u.Namespace()}
	if o.Dir == "" {
		cache := u.Getenv("XDG_CACHE_HOME")
		if home := u.Getenv("HOME"); cache == "" && home != "" {
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

func (u *upper) up(ctx context.Context) error {
	o, err := u.options()
	if err != nil {
		return err
	}
	if o.Components, err = install.ParseComponents(u.components); err != nil {
		return err
	}
	if u.report {
		tell, works := tryout.Report()
		return u.run(ctx, o, tell, works)
	}
	if busy := tryout.Look(o.Dir); busy != nil {
		return u.runsAlready(busy)
	}
	if err := o.CheckPrograms(); err != nil {
		return session.Hint(err, "build them: make build; or name the folder that has them: --bin=<folder>")
	}
	bar := newProgress(u.Session, o.Steps())
	defer bar.end()
	if u.detach {
		return u.background(ctx, o, bar)
	}
	return u.run(ctx, o, bar.done, func() error {
		bar.end()
		u.invite(o.Dir)
		u.Waiting("Ctrl-C ends it; what the cluster holds stays for the next time")
		return nil
	})
}

// run runs everything until ctx ends.
func (u *upper) run(ctx context.Context, o tryout.Options, tell func(done string), works func() error) error {
	starting, cancel := u.Context(ctx)
	defer cancel()
	r, err := tryout.Start(starting, o, tell)
	if busy := (*tryout.BusyError)(nil); errors.As(err, &busy) {
		return u.runsAlready(busy)
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
	u.Say("ending the controllers and the control plane")
	return r.Stop()
}

// background has another process run everything.
func (u *upper) background(ctx context.Context, o tryout.Options, bar *progress) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"up", "--report", "--dir=" + o.Dir, "--bin=" + o.Bin, "--namespace=" + o.Namespace,
		"--components=" + strings.Join(o.Components, ","), "--timeout=" + u.Timeout.String()}
	if err := tryout.Background(ctx, o.Dir, self, args, bar.done); err != nil {
		return withFolder(err)
	}
	bar.end()
	u.invite(o.Dir)
	u.Done("it runs in the background, until: weir down%s", u.dirFlag())
	return nil
}

// runsAlready tells how to use what another process runs.
func (u *upper) runsAlready(busy *tryout.BusyError) error {
	if !busy.Working {
		return session.Hint(fmt.Errorf("process %d is about to start everything in %s", busy.PID, busy.Dir),
			"wait for it, or end it: weir down --dir=%s", busy.Dir)
	}
	u.Done("it runs already, by process %d", busy.PID)
	u.invite(busy.Dir)
	return nil
}

// invite says how to use the cluster. The first line is for a shell.
func (u *upper) invite(dir string) {
	fmt.Fprintf(u.Out, "export KUBECONFIG='%s'\n", strings.ReplaceAll(tryout.Kubeconfig(dir), "'", `'\''`))
	u.Say("with that line in your shell, look around:")
	fmt.Fprintf(u.Err, `    weir check
    weir get all -A
    weir bootstrap git --url=<repository> --path=clusters/mine --registry=localhost/weir
`)
}

// dirFlag is the flag by which another call means the same folder; "" if it need not.
func (u *upper) dirFlag() string {
	if u.dir == "" {
		return ""
	}
	return " --dir=" + u.dir
}

func (u *upper) down(ctx context.Context) error {
	o, err := u.options()
	if err != nil {
		return err
	}
	ctx, cancel := u.Context(ctx)
	defer cancel()
	u.Say("ending what runs in %s", o.Dir)
	ran, err := tryout.Down(ctx, o.Dir, o.Bin, u.remove)
	switch {
	case err != nil:
		return session.Hint(withFolder(err), "run the same command again; what the programs say is in the folder %s", o.Dir)
	case u.remove:
		u.Done("it has ended, and the folder is gone")
	case ran:
		u.Done("it has ended; what the cluster holds is kept for the next weir up")
	default:
		u.Done("nothing ran")
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
