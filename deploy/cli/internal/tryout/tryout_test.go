package tryout_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/deploy/cli/internal/tryout"
)

func TestPrograms(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	write(t, filepath.Join(bin, "localplane"), 0o755)
	write(t, filepath.Join(bin, "source-controller"), 0o644)
	if err := os.Mkdir(filepath.Join(bin, "helm-controller"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		why  string
		in   []string
		want []string
	}{
		"all there":     {why: "the plane alone is enough for no controllers"},
		"not a program": {why: "a file that cannot be run, and a folder, are no programs", in: []string{"source-controller", "helm-controller"}, want: []string{"source-controller", "helm-controller"}},
		"missing":       {why: "what is missing is named", in: []string{"kustomize-controller"}, want: []string{"kustomize-controller"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tryout.Options{Dir: t.TempDir(), Bin: bin, Components: tc.in}.CheckPrograms()
			var missing *tryout.MissingError
			var got []string
			if errors.As(err, &missing) {
				got = missing.Programs
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || (err == nil) != (tc.want == nil) {
				t.Errorf("error %v: %s\n%s", err, tc.why, diff)
			}
		})
	}
}

func TestFolders(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	foreign := filepath.Join(home, "foreign")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(foreign, "thesis.txt"), 0o644)
	if err := tryout.Prepare(foreign); !errors.Is(err, tryout.ErrForeign) {
		t.Errorf("preparing a folder that holds something else: %v", err)
	}
	if _, err := tryout.Down(t.Context(), foreign, home, true); !errors.Is(err, tryout.ErrForeign) {
		t.Errorf("removing a folder that holds something else: %v", err)
	}
	if _, err := os.Stat(filepath.Join(foreign, "thesis.txt")); err != nil {
		t.Errorf("a file of somebody else is gone: %v", err)
	}
	missing := filepath.Join(home, "missing")
	if ran, err := tryout.Down(t.Context(), missing, home, true); ran || err != nil {
		t.Errorf("ending what was never begun: %t, %v", ran, err)
	}
	for range 2 { // the second time it is there
		if err := tryout.Prepare(missing); err != nil {
			t.Errorf("preparing a folder: %v", err)
		}
	}
	if busy := tryout.Look(missing); busy != nil {
		t.Errorf("a folder that nobody runs: %v", busy)
	}
	if ran, err := tryout.Down(t.Context(), missing, home, true); ran || err != nil {
		t.Errorf("removing a folder that nobody runs: %t, %v", ran, err)
	}
	if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// TestEndedInTheBackground: what the process has said is told, and that it has ended.
func TestEndedInTheBackground(t *testing.T) {
	t.Parallel()
	dir, program := t.TempDir(), filepath.Join(t.TempDir(), "weir")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho begun >&3\necho no port is free >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var told []string
	err := tryout.Background(t.Context(), dir, program, nil, func(done string) { told = append(told, done) })
	if err == nil || !strings.Contains(err.Error(), "no port is free") {
		t.Errorf("error %v; want what the process said", err)
	}
	if diff := cmp.Diff([]string{"begun"}, told); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func write(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
		t.Fatal(err)
	}
}
