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
	err := run(t.Context(), []string{"-quick", "-dir", dir, "-bin", filepath.Join(testplane.Root(t), "bin"), "-out", out}, noEnv, &stdout, &stderr)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	report := stdout.String()
	for _, s := range scenarios(options{}) {
		if !strings.Contains(report, "\n"+s.name+" ") {
			t.Errorf("the report has no row for %q", s.name)
		}
	}
	for _, program := range []string{sourceController, kustomizeController, helmController, imageController, "floor"} {
		if !strings.Contains(report, "  "+program+" ") {
			t.Errorf("the report has no row for %s", program)
		}
	}
	for _, want := range []string{"weir.dev/kustomize-controller", "\n" + kustomizeController + "  ", "  before  ", "  installed  ", "  idle  "} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q", want)
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
	full := t.TempDir()
	for _, name := range []string{"localplane", sourceController, kustomizeController} {
		if err := os.WriteFile(filepath.Join(full, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		why, bin, env, says string
	}{
		"of weir":          {why: "they are built by a command", bin: t.TempDir(), says: "make build"},
		"of somebody else": {why: "nobody here can build them", bin: full, env: t.TempDir(), says: "BENCH_CONTROLLERS"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := func(key string) string { return map[string]string{"BENCH_CONTROLLERS": tc.env}[key] }
			err := run(t.Context(), []string{"-bin", tc.bin}, env, &bytes.Buffer{}, &bytes.Buffer{})
			if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("run = %v; want it to say %q (%s)", err, tc.says, tc.why)
			}
		})
	}
}

func noEnv(string) string { return "" }
