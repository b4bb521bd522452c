package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir.dev/pkg/testplane"
)

// TestQuick goes through every scenario with the real programs, but not long enough for
// the figures to mean anything.
func TestQuick(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bench")
	out := filepath.Join(t.TempDir(), "report.txt")
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{"-quick", "-dir", dir, "-bin", filepath.Join(testplane.Root(t), "bin"), "-out", out}, &stdout, &stderr)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	report := stdout.String()
	for _, s := range scenarios() {
		if !strings.Contains(report, "\n"+s.name+" ") {
			t.Errorf("the report has no row for %q", s.name)
		}
	}
	for _, program := range []string{"source-controller", "kustomize-controller", "floor"} {
		if !strings.Contains(report, "  "+program+" ") {
			t.Errorf("the report has no row for %s", program)
		}
	}
	if saved, err := os.ReadFile(out); err != nil || string(saved) != report {
		t.Errorf("what is saved is not what was printed (%v)", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the run is still there (%v)", err)
	}
	if t.Failed() {
		t.Logf("the report:\n%s", report)
	}
}

func TestMissingProgramsAreNamed(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), []string{"-bin", t.TempDir()}, &bytes.Buffer{}, &bytes.Buffer{})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "make build") {
		t.Errorf("run = %v, want advice to run make build", err)
	}
}
