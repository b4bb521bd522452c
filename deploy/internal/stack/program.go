package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long a program may take to end by itself.
const stopGrace = 10 * time.Second

// Program is a controller that runs as a process of its own.
type Program struct {
	// Log is the path of a file with all that the program prints.
	Log string

	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended
}

// SourceController starts source-controller with its storage in the folder of the
// stack. More may be given as to Start.
func (s *Stack) SourceController(ctx context.Context, more ...string) (*Program, error) {
	storage := s.Storage()
	if err := os.MkdirAll(storage, 0o755); err != nil {
		return nil, err
	}
	return s.Start(ctx, "source-controller", append([]string{"--storage-path=" + storage, "--storage-addr=127.0.0.1:0"}, more...)...)
}

// Storage is the folder in which source-controller keeps what it fetched.
func (s *Stack) Storage() string { return filepath.Join(s.dir, "artifacts") }

// KustomizeController starts kustomize-controller. More may be given as to Start.
func (s *Stack) KustomizeController(ctx context.Context, more ...string) (*Program, error) {
	return s.Start(ctx, "kustomize-controller", more...)
}

// HelmController starts helm-controller. More may be given as to Start.
func (s *Stack) HelmController(ctx context.Context, more ...string) (*Program, error) {
	return s.Start(ctx, "helm-controller", more...)
}

// ImageController starts image-controller with its storage in the folder of the stack.
// More may be given as to Start.
func (s *Stack) ImageController(ctx context.Context, more ...string) (*Program, error) {
	storage := filepath.Join(s.dir, "images")
	if err := os.MkdirAll(storage, 0o755); err != nil {
		return nil, err
	}
	return s.Start(ctx, "image-controller", append([]string{"--storage-path=" + storage}, more...)...)
}

// Start starts a controller, without metrics and probes unless a flag asks for
// them. What is given beside flags are variables of its environment: KEY=value. It
// goes on until Stop or Kill, whatever becomes of ctx. Its log is added to that of an
// earlier one of the same name. Several may be started at the same time.
func (s *Stack) Start(ctx context.Context, name string, more ...string) (*Program, error) {
	flags, env := []string{"--metrics-addr=0", "--health-addr=0"}, append(os.Environ(), "KUBECONFIG="+s.Kubeconfig)
	for _, m := range more {
		if strings.HasPrefix(m, "-") {
			flags = append(flags, m)
		} else {
			env = append(env, m)
		}
	}
	return s.execute(ctx, name, name, flags, env)
}

// execute starts a program of the folder of controllers by its arguments and environment,
// of which the last value of a variable counts. Its log has the name that is given.
func (s *Stack) execute(ctx context.Context, name, program string, args, env []string) (*Program, error) {
	p := &Program{Log: filepath.Join(s.dir, name+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(s.Controllers, program), args...)
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = ofParent() // Ctrl-C is ours to pass on, in order
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.programs = append(s.programs, p)
	return p, nil
}

// wait waits for the end of the program. What it has started and left ends with it, as in
// a Pod.
func (p *Program) wait() {
	p.err = p.cmd.Wait()
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL) // its group, which most often is empty by now
	close(p.ended)
}

// PID is the id of the process.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process is over.
func (p *Program) Ended() <-chan struct{} { return p.ended }

// Stop asks the program to end, and makes it after a while. A program that is over
// already is no error.
func (p *Program) Stop() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(stopGrace):
		return errors.Join(fmt.Errorf("%s did not end within %s and was killed", p.cmd.Path, stopGrace), p.Kill())
	}
	return nil
}

// Kill ends the program without warning.
func (p *Program) Kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return nil
}

func (p *Program) signal(s syscall.Signal) error {
	err := p.cmd.Process.Signal(s)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.cmd.Path, err)
	}
	return nil
}

// Usage is what a program has used of the machine.
type Usage struct {
	CPU        time.Duration
	PeakMemory int64 // bytes resident
}

// Usage returns what the program, which must be over, used.
func (p *Program) Usage() Usage {
	<-p.ended
	state := p.cmd.ProcessState
	u := Usage{CPU: state.UserTime() + state.SystemTime()}
	if r, ok := state.SysUsage().(*syscall.Rusage); ok {
		u.PeakMemory = r.Maxrss * 1024 // Linux counts in KiB
	}
	return u
}
