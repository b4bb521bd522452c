package home_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"weir.dev/deploy/localplane/internal/home"
)

func TestClaim(t *testing.T) {
	tests := map[string]struct {
		why     string
		prepare func(t *testing.T, dir string)
		err     error
	}{
		"makes a folder":         {why: "the first up on a machine", prepare: func(t *testing.T, dir string) { remove(t, dir) }},
		"takes an empty folder":  {why: "the user made it", prepare: func(*testing.T, string) {}},
		"takes a plane's folder": {why: "every later up", prepare: func(t *testing.T, dir string) { claim(t, dir); write(t, dir, "etcd") }},
		"refuses what is another's": {
			why:     "down --delete would remove it",
			prepare: func(t *testing.T, dir string) { write(t, dir, "thesis.txt") },
			err:     home.ErrForeign,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			tc.prepare(t, path)
			dir, err := home.Claim(path)
			if !errors.Is(err, tc.err) {
				t.Fatalf("Claim() = %v, want %v (%s)", err, tc.err, tc.why)
			}
			if err == nil && string(dir) != path {
				t.Errorf("Claim() = %q, want %q", dir, path)
			}
			found, err := home.Find(path)
			if !errors.Is(err, tc.err) || found != dir {
				t.Errorf("Find() = %q, %v after it was claimed; want %q, %v", found, err, dir, tc.err)
			}
		})
	}
}

func TestClaimTellsWhatIsNotWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, filepath.Dir(file), "file")
	if _, err := home.Claim(filepath.Join(file, "plane")); err == nil {
		t.Error("Claim() below a file succeeded")
	}
}

func TestFindWithoutPlane(t *testing.T) {
	empty := t.TempDir()
	for _, path := range []string{empty, filepath.Join(empty, "missing")} {
		if _, err := home.Find(path); !errors.Is(err, home.ErrAbsent) {
			t.Errorf("Find(%q) = %v, want %v", path, err, home.ErrAbsent)
		}
	}
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "file")
	for _, content := range []string{"one", "two"} {
		if err := home.Write(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("file holds %q, %v; want %q", got, err, content)
		}
	}
	before := stat(t, path)
	if before.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, want 0600: keys are written so, too", before.Mode())
	}
	if err := home.Write(path, []byte("two")); err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, stat(t, path)) {
		t.Error("a file that had not changed was replaced")
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("folder holds %v, %v; want the file alone", entries, err)
	}
}

func TestState(t *testing.T) {
	dir := claim(t, t.TempDir())
	if got, err := dir.State(); err != nil || got.Phase != "" {
		t.Errorf("State() of a new plane = %v, %v; want none", got, err)
	}
	if err := dir.SetState(home.State{Phase: home.Failed, Failure: "no luck"}); err != nil {
		t.Fatal(err)
	}
	if got, err := dir.State(); err != nil || got.Phase != home.Failed || got.Failure != "no luck" {
		t.Errorf("State() = %v, %v; want what was set", got, err)
	}
}

func claim(t *testing.T, path string) home.Dir {
	t.Helper()
	dir, err := home.Claim(path)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}
