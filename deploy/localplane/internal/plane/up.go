package plane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"weir.dev/deploy/localplane/internal/home"
	"weir.dev/deploy/localplane/internal/logfile"
)

// errGone tells that a supervisor that was there is no more.
var errGone = errors.New("the supervisor has ended")

// Up makes sure that the plane of opts.Dir runs, and returns the path of its
// kubeconfig when it can be used. Progress goes to progress, for people.
func Up(ctx context.Context, opts Options, progress io.Writer) (string, error) {
	if err := opts.Validate(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready after %s", readyTimeout))
	defer cancel()
	dir, turn, err := takeTurn(ctx, opts.Dir, progress)
	if err != nil {
		return "", err
	}
	defer turn.Release()
	// Whoever starts the plane uses it for now, or it could stop under our hands.
	user, err := home.Acquire(ctx, dir.Users(), home.Shared)
	if err != nil {
		return "", err
	}
	defer user.Release()

	u := &upper{dir: dir, opts: opts, progress: progress}
	for {
		launched, err := u.ensureSupervisor(ctx)
		if err != nil {
			return "", err
		}
		err = u.await(ctx)
		if errors.Is(err, errGone) && !launched {
			continue // it was on its way out
		}
		return dir.Kubeconfig(), err
	}
}

// takeTurn claims the folder and waits until no other up or down works in it. One
// that deletes the folder meanwhile makes us claim it again.
func takeTurn(ctx context.Context, path string, progress io.Writer) (home.Dir, *home.Lock, error) {
	for waiting := false; ; {
		dir, err := home.Claim(path)
		if err != nil {
			return "", nil, err
		}
		turn, ok, err := home.Try(dir.Turn(), home.Exclusive)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", nil, err
		}
		if ok {
			return dir, turn, nil
		}
		if !waiting {
			waiting = true
			say(progress, "another up or down works on %s; waiting for it", dir)
		}
		if err := pause(ctx); err != nil {
			return "", nil, fmt.Errorf("waiting for another up or down on %q: %w", string(dir), err)
		}
	}
}

// upper is one call of Up.
type upper struct {
	dir      home.Dir
	opts     Options
	progress io.Writer
	ended    <-chan error // of the supervisor that we launched
	step     string       // told last
}

// ensureSupervisor launches a supervisor unless there is one that will stay.
func (u *upper) ensureSupervisor(ctx context.Context) (launched bool, err error) {
	for {
		pid, err := home.Owner(u.dir.Supervisor())
		if err != nil {
			return false, err
		}
		if pid == 0 {
			return true, u.launch()
		}
		state, err := u.dir.State()
		if err != nil {
			return false, err
		}
		if state.Phase != home.Stopping && state.Phase != home.Failed {
			u.compare(state)
			return false, nil
		}
		if err := pause(ctx); err != nil {
			return false, fmt.Errorf("waiting for the plane to stop, before it is started again: %w", err)
		}
	}
}

// compare tells which options a plane that runs already does not have.
func (u *upper) compare(s home.State) {
	if u.opts.Idle != s.Idle {
		say(u.progress, "it runs already, with --idle %s; that stays until it is stopped", s.Idle)
	}
	if u.opts.Fsync != s.Fsync {
		say(u.progress, "it runs already, with --fsync=%t; that stays until it is stopped", s.Fsync)
	}
}

// launch starts the supervisor as a process that outlives this one, in a session
// of its own.
func (u *upper) launch() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this binary: %w", err)
	}
	// What the last one told must not be taken for the word of this one.
	if err := u.dir.SetState(home.State{Phase: home.Starting, Idle: u.opts.Idle, Fsync: u.opts.Fsync}); err != nil {
		return err
	}
	log, err := logfile.Begin(u.dir.Log(supervisorName))
	if err != nil {
		return err
	}
	cmd := exec.Command(self, SuperviseVerb, "--dir", string(u.dir),
		"--nodes", strconv.Itoa(u.opts.Nodes), "--idle", u.opts.Idle.String(), "--fsync="+strconv.FormatBool(u.opts.Fsync))
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, string(u.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := errors.Join(cmd.Start(), log.Close()); err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	u.ended = ended
	say(u.progress, "starting in %s", u.dir)
	return nil
}

// await returns when the plane can be used.
func (u *upper) await(ctx context.Context) error {
	for {
		missing := u.missing(ctx)
		if missing == nil {
			return nil
		}
		if err := u.alive(); err != nil {
			return err
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("%w: %w; see the logs in %q", err, missing, u.dir.Logs())
		}
	}
}

// missing returns what the plane lacks to be used, nil if it lacks nothing.
func (u *upper) missing(ctx context.Context) error {
	state, err := u.dir.State()
	if err != nil {
		return err
	}
	if state.Step != u.step && state.Step != "" {
		u.step = state.Step
		say(u.progress, "%s", state.Step)
	}
	if state.Phase != home.Ready {
		return fmt.Errorf("the plane is %s (%s)", state.Phase, state.Step)
	}
	c, err := connect(u.dir.Kubeconfig())
	if err != nil {
		return err
	}
	return usable(ctx, c, u.opts.Nodes, state.Started)
}

// alive returns why the supervisor ended, nil if it has not.
func (u *upper) alive() error {
	select {
	case err := <-u.ended:
		return u.obituary(err)
	default:
	}
	if u.ended != nil {
		return nil // it has not, though it may not have taken its lock yet
	}
	pid, err := home.Owner(u.dir.Supervisor())
	if err != nil || pid != 0 {
		return err
	}
	return u.obituary(errGone)
}

// obituary tells why the plane is not there, by what the supervisor wrote last.
func (u *upper) obituary(ended error) error {
	state, err := u.dir.State()
	switch {
	case err != nil:
		return err
	case state.Phase == home.Failed:
		return errors.New(state.Failure)
	case state.Phase == home.Stopping, state.Phase == home.Stopped:
		return fmt.Errorf("%w: it was told to stop", errGone)
	}
	last, err := logfile.Tail(u.dir.Log(supervisorName), tailLines)
	if err != nil {
		return errors.Join(ended, err)
	}
	return fmt.Errorf("%w (%w); the end of %s:\n%s", errGone, ended, u.dir.Log(supervisorName), last)
}

// pause waits for a moment, and tells why ctx ended if it did.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(poll):
		return nil
	}
}

// say tells people how it goes.
func say(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "localplane: "+format+"\n", args...)
}
