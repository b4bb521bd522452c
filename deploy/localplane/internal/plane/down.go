package plane

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// downTimeout covers the graceful end of all components, one after the other.
const downTimeout = 40 * time.Second

// Down stops the plane of dir, and removes its folder if asked to. One that does
// not run is fine.
func Down(ctx context.Context, dir string, remove bool) error {
	l, err := existing(dir)
	if err != nil {
		return err
	}
	turn, _, err := lock(l.starting(), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer turn.Close()
	if err := stop(ctx, l); err != nil {
		return err
	}
	if remove {
		return os.RemoveAll(string(l))
	}
	return nil
}

// stop ends the supervisor and waits for that. The process that holds the lock is
// the one whose id is in the file, so no other can be hit.
func stop(ctx context.Context, l layout) error {
	ctx, cancel := context.WithTimeoutCause(ctx, downTimeout, fmt.Errorf("still running after %s", downTimeout))
	defer cancel()
	signalled := false
	for {
		f, stopped, err := lock(l.running(), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			return err
		}
		if stopped {
			f.Close()
			return nil
		}
		if !signalled {
			signalled = terminate(l)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(readyPoll):
		}
	}
}

// terminate signals the supervisor, if it has written its id yet.
func terminate(l layout) bool {
	data, err := os.ReadFile(l.running())
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(data)))
	return err == nil && pid > 1 && syscall.Kill(pid, syscall.SIGTERM) == nil
}

// Status tells on w whether the plane of dir runs.
func Status(w io.Writer, dir string) error {
	l, err := existing(dir)
	if err != nil {
		return err
	}
	f, stopped, err := lock(l.running(), syscall.LOCK_SH|syscall.LOCK_NB)
	if err != nil {
		return err
	}
	if stopped {
		f.Close()
		_, err := fmt.Fprintln(w, "down")
		return err
	}
	data, err := os.ReadFile(l.pids())
	if err != nil {
		return err
	}
	pids := make(map[string]int)
	if err := json.Unmarshal(data, &pids); err != nil {
		return err
	}
	lines := []string{"up", "kubeconfig " + l.kubeconfig()}
	for name, pid := range pids {
		lines = append(lines, fmt.Sprintf("%s pid %d, %s resident", name, pid, resident(pid)))
	}
	slices.Sort(lines[2:])
	_, err = fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

// resident returns the memory of a process, where the system tells it by files.
func resident(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return "unknown"
}

func writeString(f *os.File, s string) error {
	_, err := f.WriteString(s)
	return err
}
