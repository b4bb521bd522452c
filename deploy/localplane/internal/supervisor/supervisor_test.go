package supervisor_test

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir.dev/deploy/localplane/internal/home"
	"weir.dev/deploy/localplane/internal/logfile"
	"weir.dev/deploy/localplane/internal/supervisor"
)

const soon = 20 * time.Second // generous: only a failure waits for it

func TestProcessIsStartedAgain(t *testing.T) {
	changes := make(chan supervisor.Status, 100)
	s := supervisor.New(options(supervisor.Options{Changed: func(st supervisor.Status) { changes <- st }}))
	start(t, s, "lives")
	first := next(t, changes)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if end := next(t, changes); end.PID != 0 {
		t.Errorf("after the kill it is said to be %+v", end)
	}
	if second := next(t, changes); second.PID == 0 || second.PID == first.PID || second.Restarts != 1 {
		t.Errorf("it is %+v after a kill of %+v; want it started again", second, first)
	}
	s.Stop("lives")
	if end := next(t, changes); end.PID != 0 {
		t.Errorf("it is %+v after it was stopped", end)
	}
	if len(changes) != 0 {
		t.Errorf("it was started again though it was stopped: %+v", <-changes)
	}
}

func TestProcessThatCannotRun(t *testing.T) {
	s := supervisor.New(options(supervisor.Options{}))
	log := start(t, s, "fails")
	defer s.Stop("fails")
	for times := 1; times <= 3; times++ {
		if e := next(t, s.Ended()); e.Name != "fails" || e.Times != times || e.Err == nil {
			t.Errorf("told %+v; want the end number %d", e, times)
		}
	}
	eventually(t, "its last words", func() bool {
		last, err := logfile.Tail(log+".1", 1)
		return err == nil && last == "no luck"
	})
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	s := supervisor.New(options(supervisor.Options{Grace: 50 * time.Millisecond}))
	log := start(t, s, "stubborn")
	eventually(t, "the process", func() bool {
		last, err := logfile.Tail(log, 1)
		return err == nil && last == "deaf"
	})
	stopped := make(chan struct{})
	go func() { s.Stop("stubborn"); close(stopped) }()
	next(t, stopped)
}

// Processes hold what they inherited, and a supervisor that is killed takes them
// with it, so the lock becomes free.
func TestProcessesEndWithTheSupervisor(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	killed := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFakeProcess$", "--", "supervises", lock)
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	taken := func() bool {
		l, free, err := home.Try(lock, home.Exclusive)
		if free {
			l.Release()
		}
		return err == nil && !free
	}
	ready := func() bool { _, err := os.Stat(lock + ".ready"); return err == nil }
	eventually(t, "the processes", func() bool { return ready() && taken() })
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := killed.Wait(); err == nil {
		t.Fatal("the supervisor ended by itself")
	}
	eventually(t, "the end of all processes", func() bool { return !taken() })
}

// TestFakeProcess is the processes that the other tests start.
func TestFakeProcess(t *testing.T) {
	switch flag.Arg(0) {
	case "lives":
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "fails":
		fmt.Fprintln(os.Stderr, "no luck")
		os.Exit(3)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("deaf")
		select {}
	case "supervises":
		supervise(t, flag.Arg(1))
	default:
		t.Skip("this is a part of other tests")
	}
}

// supervise keeps two processes that hold the lock until this one is killed.
func supervise(t *testing.T, path string) {
	l, err := home.Acquire(t.Context(), path, home.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	changes := make(chan supervisor.Status, 100)
	s := supervisor.New(options(supervisor.Options{Inherit: l.File(), Changed: func(st supervisor.Status) { changes <- st }}))
	for _, name := range []string{"one", "two"} {
		err := s.Start(supervisor.Process{Name: name, Args: fake("lives"), Log: path + "." + name})
		if err != nil {
			t.Fatal(err)
		}
		next(t, changes)
	}
	if err := os.WriteFile(path+".ready", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	select {}
}

func options(o supervisor.Options) supervisor.Options {
	o.Executable = os.Args[0]
	o.Log = slog.New(slog.DiscardHandler)
	o.Backoff = supervisor.Backoff{First: time.Millisecond, Most: 5 * time.Millisecond}
	return o
}

func fake(what string) []string { return []string{"-test.run=^TestFakeProcess$", "--", what} }

// start starts a fake process and returns its log.
func start(t *testing.T, s *supervisor.Supervisor, what string) string {
	t.Helper()
	log := filepath.Join(t.TempDir(), what+".log")
	if err := s.Start(supervisor.Process{Name: what, Args: fake(what), Log: log}); err != nil {
		t.Fatal(err)
	}
	return log
}

func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(soon):
		t.Fatal("waited in vain")
		panic("unreachable")
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(soon)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestBackoffGrows(t *testing.T) {
	var got []time.Duration
	for failures := range 9 {
		got = append(got, supervisor.Backoff{}.Wait(failures+1).Round(time.Millisecond))
	}
	ms := time.Millisecond
	want := []time.Duration{200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10000 * ms, 10000 * ms, 10000 * ms}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
}
