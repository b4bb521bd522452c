// Package supervisor keeps processes running.
//
// A process that ends is started again after a wait that grows. The processes end
// with the one that supervises them, however that ends: each reads the other end
// of a pipe on its standard input and has promised to end when that does; on Linux
// the kernel kills it besides. What the processes are, and in which order they
// start and stop, is the caller's to decide.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"weir.dev/deploy/localplane/internal/logfile"
)

// Options say how processes are run. Executable and Log are required.
type Options struct {
	Executable string
	Dir        string        // working folder of the processes
	Env        []string      // their whole environment
	Inherit    *os.File      // each process holds it open, as descriptor 3; may be nil
	Grace      time.Duration // between asking a process to end and killing it; 0 means 10s
	Backoff    Backoff
	Log        *slog.Logger
	Changed    func(Status) // told about each start and end; may be nil
}

// Process is one command to keep running.
type Process struct {
	Name string
	Args []string
	Log  string // the file of its output
}

// Status is how a process is doing.
type Status struct {
	Name     string
	PID      int // 0 while it does not run
	Restarts int
}

// Supervisor keeps processes running from Start to Stop.
type Supervisor struct {
	opts  Options
	ended chan Ended

	mu   sync.Mutex
	kept map[string]keeper
}

// Ended tells that a process has ended without being asked to.
type Ended struct {
	Name  string
	Times int // in a row, without a run that lasted
	Err   error
}

// keeper is the goroutine of one process.
type keeper struct {
	cancel context.CancelFunc
	done   <-chan struct{}
}

// New returns a supervisor of no process yet.
func New(opts Options) *Supervisor {
	if opts.Grace == 0 {
		opts.Grace = 10 * time.Second
	}
	return &Supervisor{opts: opts, ended: make(chan Ended, 16), kept: make(map[string]keeper)}
}

// Ended returns the channel on which it is told when a process ends by itself.
// Nobody needs to listen.
func (s *Supervisor) Ended() <-chan Ended { return s.ended }

// Start keeps a process running from now on.
func (s *Supervisor) Start(p Process) error {
	log, err := logfile.Open(p.Log, 0)
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[p.Name] = keeper{cancel, done}
	go func() {
		defer close(done)
		s.keep(ctx, p, log)
		if err := log.Close(); err != nil {
			s.opts.Log.Error("closing log", "process", p.Name, "error", err)
		}
	}()
	return nil
}

// Stop ends processes, all at the same time, and returns when they are gone.
func (s *Supervisor) Stop(names ...string) {
	s.mu.Lock()
	var stopping []keeper
	for _, name := range names {
		if k, ok := s.kept[name]; ok {
			k.cancel()
			stopping = append(stopping, k)
			delete(s.kept, name)
		}
	}
	s.mu.Unlock()
	for _, k := range stopping {
		<-k.done
	}
}

// keep runs a process again and again until ctx ends.
func (s *Supervisor) keep(ctx context.Context, p Process, log *logfile.Log) {
	// The kernel ties the life of a child to the thread that started it. Never
	// unlocked: the thread ends with this goroutine.
	runtime.LockOSThread()
	status := Status{Name: p.Name}
	var failures int
	for {
		began := time.Now()
		err := s.once(ctx, p, log, status)
		s.changed(status)
		if ctx.Err() != nil {
			return
		}
		if s.opts.Backoff.lasted(time.Since(began)) {
			failures = 0
		}
		failures++
		wait := s.opts.Backoff.Wait(failures)
		s.opts.Log.Warn("process ended", "process", p.Name, "reason", err, "again in", wait)
		select {
		case s.ended <- Ended{p.Name, failures, err}:
		default: // nobody listens
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		status.Restarts++
		if err := log.Rotate(); err != nil {
			s.opts.Log.Error("beginning a new log", "process", p.Name, "error", err)
		}
	}
}

// once runs a process until it ends, or ctx does.
func (s *Supervisor) once(ctx context.Context, p Process, log *logfile.Log, status Status) error {
	cmd := exec.CommandContext(ctx, s.opts.Executable, p.Args...)
	cmd.Dir, cmd.Env = s.opts.Dir, s.opts.Env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = dieWithParent()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = s.opts.Grace
	if s.opts.Inherit != nil {
		cmd.ExtraFiles = []*os.File{s.opts.Inherit}
	}
	// Nothing is ever written to it. It ends when this process does.
	if _, err := cmd.StdinPipe(); err != nil {
		return fmt.Errorf("preparing %s: %w", p.Name, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	status.PID = cmd.Process.Pid
	s.opts.Log.Info("process started", "process", p.Name, "pid", status.PID)
	s.changed(status)
	err := cmd.Wait()
	if err == nil {
		err = errors.New("exit status 0")
	}
	return err
}

func (s *Supervisor) changed(status Status) {
	if s.opts.Changed != nil {
		s.opts.Changed(status)
	}
}
