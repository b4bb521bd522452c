package stack_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"weir.dev/deploy/internal/stack"
)

// parent is a program that starts another one, which does not end when it is asked to, and
// waits for it; with -leave, it does not wait.
const parent = `#!/bin/sh
trap '' TERM
sleep 600 &
trap - TERM
echo "child: $!"
case "$*" in *-leave*) exit 0 ;; esac
wait
`

func TestWhatAProgramHasStartedEndsWithIt(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why   string
		flags []string
		end   func(*stack.Program) error
	}{
		"stopped":       {why: "who stops a program is done with all of it", end: (*stack.Program).Stop},
		"killed":        {why: "it could not see to it itself", end: (*stack.Program).Kill},
		"over":          {why: "nobody else would end what it left", flags: []string{"-leave"}, end: func(p *stack.Program) error { <-p.Ended(); return nil }},
		"over, stopped": {why: "it is no error, if it is over before", flags: []string{"-leave"}, end: func(p *stack.Program) error { <-p.Ended(); return p.Stop() }},
	}
	bin := t.TempDir()
	writeProgram(t, filepath.Join(bin, "parent"), parent)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := stack.New(t.TempDir(), bin)
			if err != nil {
				t.Fatal(err)
			}
			p, err := s.Start(t.Context(), "parent", tc.flags...)
			if err != nil {
				t.Fatal(err)
			}
			child := 0
			err = stack.Eventually(t.Context(), func(context.Context) (bool, error) {
				said, err := os.ReadFile(p.Log)
				_, line, _ := strings.Cut(string(said), "child: ")
				n, _ := fmt.Sscanf(line, "%d\n", &child)
				return n == 1 && strings.Contains(line, "\n"), err
			})
			if err != nil {
				t.Fatalf("what the program says: %v", err)
			}
			if err := tc.end(p); err != nil {
				t.Fatal(err)
			}
			err = stack.Eventually(t.Context(), func(context.Context) (bool, error) { return over(child), nil })
			if err != nil {
				t.Errorf("process %d runs on: %s", child, tc.why)
			}
		})
	}
}

// writeProgram writes a script that can be started at once. A process that another test
// starts meanwhile would hold the file open for a moment, and what is open for writing
// cannot be executed.
func writeProgram(t *testing.T, path, script string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// over reports whether a process runs no more, whether or not anybody has asked how it ended.
func over(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return os.IsNotExist(err)
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return len(state) > 0 && (state[0] == 'Z' || state[0] == 'X')
}
