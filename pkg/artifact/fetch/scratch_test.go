package fetch_test

import (
	"os"
	"path/filepath"
	"testing"

	"weir.dev/pkg/artifact/fetch"
)

func TestScratchRemovesWhatNobodyHolds(t *testing.T) {
	t.Parallel()
	parent := filepath.Join(t.TempDir(), "scratch")
	first, err := fetch.NewScratch(parent)
	if err != nil {
		t.Fatal(err)
	}
	// What a killed process leaves: a folder with something in it, and a lock that the
	// kernel has given up.
	for _, dir := range []string{"left", filepath.Join("left", "tree-1")} {
		if err := os.Mkdir(filepath.Join(parent, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(parent, "left.lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	second, err := fetch.NewScratch(parent)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		filepath.Join(parent, "left"): false, filepath.Join(parent, "left.lock"): false, first.Dir: true, second.Dir: true,
	} {
		if _, err := os.Stat(name); (err == nil) != want {
			t.Errorf("%s is there: %t; want %t", name, err == nil, want)
		}
	}
	for _, s := range []*fetch.Scratch{first, second} {
		if err := s.Remove(); err != nil {
			t.Errorf("removing %s: %v", s.Dir, err)
		}
	}
	if rest, err := os.ReadDir(parent); err != nil || len(rest) > 0 {
		t.Errorf("after the end, %v is left (%v)", rest, err)
	}
}
