package daemon_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir.dev/pkg/daemon"
)

// pause is how long a process is left to die before it is told again.
const pause = 10 * time.Millisecond

// mainMode is the environment variable that makes TestMainProcess a program.
const mainMode = "DAEMON_TEST_MAIN"

// TestMainProcess is the program that the other tests run: its mode says how it
// ends.
func TestMainProcess(t *testing.T) {
	mode := os.Getenv(mainMode)
	if mode == "" {
		return // nobody runs it
	}
	os.Args = []string{"program", "--concurrent=3"}
	if mode == "help" {
		os.Args = []string{"program", "--help"}
	}
	daemon.Main("program", func(ctx context.Context, d *daemon.Daemon) error {
		switch mode {
		case "fail":
			return errors.New("the disk is full")
		case "help":
			return d.Parse()
		case "wait", "hang":
			fmt.Fprintln(os.Stdout, "ready")
			<-ctx.Done()
			fmt.Fprintln(os.Stdout, "stopping")
		}
		if mode == "hang" {
			<-time.After(time.Minute)
		}
		return nil
	})
	os.Exit(0)
}

// child is a process that runs Main.
type child struct {
	*exec.Cmd
	out    *bufio.Scanner
	stderr strings.Builder
}

func startMain(t *testing.T, mode string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{Cmd: exec.CommandContext(t.Context(), self, "-test.run=^TestMainProcess$")}
	c.Env = append(os.Environ(), mainMode+"="+mode)
	c.Stderr = &c.stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// says waits for a line of the output.
func (c *child) says(t *testing.T, want string) {
	t.Helper()
	if !c.out.Scan() || c.out.Text() != want {
		t.Fatalf("the process said %q, want %q; %s", c.out.Text(), want, c.stderr.String())
	}
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := c.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

func TestMainExitStatus(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why, mode, stderr string
		code              int
	}{
		"of a failure": {why: "supervisors and users see it", mode: "fail", code: 1, stderr: "program: the disk is full\n"},
		"of a success": {why: "nothing is to be said", mode: "succeed"},
		"of help":      {why: "that was what was asked for", mode: "help", stderr: "--concurrent"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startMain(t, tc.mode)
			err := c.Wait()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if code := c.ProcessState.ExitCode(); code != tc.code || !strings.Contains(c.stderr.String(), tc.stderr) {
				t.Errorf("exit status %d and %q, want %d and %q (%s)", code, c.stderr.String(), tc.code, tc.stderr, tc.why)
			}
		})
	}
}

func TestMainStopsAtASignal(t *testing.T) {
	t.Parallel()
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		c := startMain(t, "wait")
		c.says(t, "ready")
		c.signal(t, s)
		c.says(t, "stopping")
		if err := c.Wait(); err != nil {
			t.Errorf("after %s: %v", s, err)
		}
	}
}

func TestMainDiesAtTheSecondSignal(t *testing.T) {
	t.Parallel()
	c := startMain(t, "hang")
	c.says(t, "ready")
	c.signal(t, os.Interrupt)
	c.says(t, "stopping")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Wait() // how it ended is looked at below
	}()
	for {
		// The first signal may still be on its way when the context has ended.
		c.signal(t, os.Interrupt)
		select {
		case <-ended:
			if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
				t.Errorf("the process ended with %s, want the signal", c.ProcessState)
			}
			return
		case <-t.Context().Done():
			t.Fatal("the process does not end")
		case <-time.After(pause):
		}
	}
}
