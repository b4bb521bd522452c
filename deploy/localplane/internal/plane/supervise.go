package plane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"weir.dev/deploy/localplane/internal/component"
)

const (
	stopGrace   = 5 * time.Second
	restartWait = 500 * time.Millisecond
	idlePoll    = 5 * time.Second
)

// Supervise runs the components of a plane until ctx ends, or nobody has used it
// for opts.Idle.
func Supervise(ctx context.Context, opts Options) error {
	l, err := existing(opts.Dir)
	if err != nil {
		return err
	}
	mine, ok, err := lock(l.running(), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%s: a supervisor runs already", l)
	}
	defer mine.Close()
	if err := errors.Join(mine.Truncate(0), writeString(mine, strconv.Itoa(os.Getpid()))); err != nil {
		return err
	}
	p, err := choosePorts(l)
	if err != nil {
		return err
	}
	if err := prepare(l, p); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if opts.Idle > 0 {
		go func() { watchIdle(ctx, l, opts.Idle); stop() }()
	}
	s := &supervisor{layout: l, pids: make(map[string]int)}
	return s.run(ctx, commands(l, p, opts))
}

// supervisor keeps components running.
type supervisor struct {
	layout layout

	mu   sync.Mutex
	pids map[string]int
}

// run starts the components and stops them in the reverse order.
func (s *supervisor) run(ctx context.Context, commands []command) error {
	stops := make([]func(), 0, len(commands))
	for _, c := range commands {
		// Each gets a context of its own, so that one can be stopped after another.
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		var ended sync.WaitGroup
		ended.Go(func() { s.keep(own, c) })
		stops = append(stops, func() { cancel(); ended.Wait() })
	}
	<-ctx.Done()
	for i := len(stops) - 1; i >= 0; i-- {
		stops[i]()
	}
	return os.Remove(s.layout.pids())
}

// keep runs one component again and again until ctx ends.
func (s *supervisor) keep(ctx context.Context, c command) {
	for ctx.Err() == nil {
		err := s.once(ctx, c)
		if ctx.Err() != nil {
			return
		}
		fmt.Fprintf(os.Stderr, "%s %s ended, starting it again: %v\n", time.Now().Format(time.RFC3339), c.name, err)
		select {
		case <-ctx.Done():
		case <-time.After(restartWait):
		}
	}
}

// once runs one component until it ends, or ctx does. Its standard input is a
// pipe that this process holds: when we end, however that happens, it reads the
// end of it and ends, too.
func (s *supervisor) once(ctx context.Context, c command) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := openLog(s.layout, c.name)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, self, append([]string{component.Verb, c.name}, c.args...)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, string(s.layout)
	cmd.Env = append(os.Environ(), "HOME="+string(s.layout))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	life, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	defer life.Close()
	if err := cmd.Start(); err != nil {
		return err
	}
	s.record(c.name, cmd.Process.Pid)
	return cmd.Wait()
}

// record writes the process ids for status.
func (s *supervisor) record(name string, pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pids[name] = pid
	data, err := json.Marshal(s.pids)
	if err == nil {
		err = os.WriteFile(s.layout.pids(), data, 0o600)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "recording process ids: %v\n", err)
	}
}

// watchIdle returns when nobody has held a share in the users' lock for so long.
func watchIdle(ctx context.Context, l layout, idle time.Duration) {
	last := time.Now()
	tick := time.NewTicker(min(idlePoll, idle))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			f, unused, err := lock(l.users(), syscall.LOCK_EX|syscall.LOCK_NB)
			if err != nil || !unused {
				last = now
				continue
			}
			f.Close()
			if now.Sub(last) >= idle {
				return
			}
		}
	}
}

// openLog begins the log of a component anew and keeps the one before.
func openLog(l layout, name string) (*os.File, error) {
	path := logFile(l, name)
	if err := os.Rename(path, path+".1"); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

func logFile(l layout, name string) string { return l.file("log/" + name + ".log") }

// tail returns the end of a log.
func tail(l layout, name string) string {
	const most = 2000
	f, err := os.Open(logFile(l, name))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return err.Error()
	}
	return string(data)
}
