package verb_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpRefuses: before anything is started, it is known whether it can be.
func TestUpRefuses(t *testing.T) {
	t.Parallel()
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for _, name := range []string{"localplane", "source-controller"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		why  string
		args string
		want []string // in what is said
	}{
		"missing programs":     {why: "they are named, and how to get them", args: "up --dir=NEW --bin=BIN", want: []string{"kustomize-controller", "make build", "--bin"}},
		"unknown component":    {why: "what there is, is named", args: "up --dir=NEW --bin=BIN --components=notification-controller", want: []string{"notification-controller"}},
		"folder of others":     {why: "nothing in it may be lost", args: "up --dir=FOREIGN --bin=BIN --components=source-controller", want: []string{"holds something else", "--dir"}},
		"folder of others: bg": {why: "nor in the background", args: "up --detach --dir=FOREIGN --bin=BIN --components=source-controller", want: []string{"holds something else", "--dir"}},
		"no home":              {why: "there is nowhere to keep a cluster", args: "up --bin=BIN", want: []string{"--dir"}},
		"an argument":          {why: "it would do nothing", args: "down here", want: []string{"here"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(strings.NewReplacer("NEW", filepath.Join(t.TempDir(), "new"), "FOREIGN", foreign, "BIN", bin).Replace(tc.args))
			code, _, said := weir(t, &answers{}, args...)
			for _, want := range tc.want {
				if code != 1 || !strings.Contains(said, want) {
					t.Errorf("exit code %d, and no word of %q: %s\n%s", code, want, tc.why, said)
				}
			}
		})
	}
	if entries, err := os.ReadDir(foreign); err != nil || len(entries) != 1 {
		t.Errorf("the folder of others has %v now, %v", entries, err)
	}
}
