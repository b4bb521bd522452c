//go:build linux

package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir.dev/pkg/artifact"
)

func TestVerify(t *testing.T) {
	const content = "content"
	want := digestOf(content)
	tests := map[string]struct {
		why    string
		before func(t *testing.T, s *Store, file string)
		digest artifact.Digest
		size   int64
		is     error
	}{
		"as stored":             {why: "nothing happened", size: 7},
		"of unknown size":       {why: "the size in a status is optional", size: -1},
		"another digest":        {why: "the status is of another content", digest: digestOf("other"), size: 7, is: ErrAltered},
		"another size":          {why: "the status is of another content", size: 8, is: ErrAltered},
		"removed":               {why: "the volume was emptied", before: func(_ *testing.T, _ *Store, file string) { os.Remove(file) }, size: 7, is: ErrNotFound},
		"truncated":             {why: "a disk was full, a file system repaired", before: func(_ *testing.T, _ *Store, file string) { os.Truncate(file, 3) }, size: 7, is: ErrAltered},
		"truncated, no size":    {why: "the digest says it too", before: func(_ *testing.T, _ *Store, file string) { os.Truncate(file, 3) }, size: -1, is: ErrAltered},
		"same size":             {why: "only reading shows it", before: overwrite("CONTENT"), size: 7, is: ErrAltered},
		"same size and time":    {why: "whoever changed it set the time back", before: overwriteAndHide("CONTENT"), size: 7, is: ErrAltered},
		"touched":               {why: "the content is what counts", before: overwrite(content), size: 7},
		"replaced by a link":    {why: "it may lead anywhere", before: func(_ *testing.T, _ *Store, file string) { os.Rename(file, file+"x"); os.Symlink(file+"x", file) }, size: 7, is: ErrAltered},
		"replaced by directory": {why: "it has no content", before: func(_ *testing.T, _ *Store, file string) { os.Remove(file); os.Mkdir(file, 0o700) }, size: -1, is: ErrAltered},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{})
			path := at(t, "a.tar.gz")
			put(t, s, path, content)
			if tc.before != nil {
				tc.before(t, s, filepath.Join(s.opts.Dir, path.String()))
			}
			digest := tc.digest
			if digest == "" {
				digest = want
			}
			for range 2 { // what is remembered must not change the answer
				if err := s.Verify(path, digest, tc.size); !errors.Is(err, tc.is) {
					t.Errorf("Verify() = %v; want %v (%s)", err, tc.is, tc.why)
				}
			}
		})
	}
}

func TestVerifyReadsOnlyWhatItDoesNotKnow(t *testing.T) {
	const content = "content"
	s := open(t, Options{})
	path := at(t, "a.tar.gz")
	file := filepath.Join(s.opts.Dir, path.String())
	stored := put(t, s, path, content)

	verify := func(why string, reads int64) {
		t.Helper()
		before, bytes := s.hashes.Load(), s.hashedBytes.Load()
		for range 10 {
			if err := s.Verify(path, stored.Digest, stored.Size); err != nil {
				t.Fatal(err)
			}
		}
		if n, b := s.hashes.Load()-before, s.hashedBytes.Load()-bytes; n != reads || b != reads*int64(len(content)) {
			t.Errorf("%s: read %d times, %d bytes; want %d times", why, n, b, reads)
		}
	}
	verify("after Put", 0)
	overwrite(content)(t, s, file)
	verify("after a change from outside", 1)
	put(t, s, path, content)
	verify("after another Put", 0)

	s = open(t, Options{Dir: s.opts.Dir})
	verify("after a restart", 1)

	sum512 := artifact.SHA512.New()
	sum512.Write([]byte(content))
	stored.Digest = artifact.SHA512.Digest(sum512)
	verify("with a status of another algorithm", 1)
}

func TestVerifyRefusesAnUnusableDigest(t *testing.T) {
	s := open(t, Options{})
	path := at(t, "a.tar.gz")
	put(t, s, path, "content")
	for _, digest := range []artifact.Digest{"", "sha256:", "blake3:00", "x"} {
		if err := s.Verify(path, digest, -1); err == nil || errors.Is(err, ErrAltered) {
			t.Errorf("Verify(%q) = %v", digest, err)
		}
	}
}

// overwrite changes a file in place, at a time of its own.
func overwrite(content string) func(*testing.T, *Store, string) {
	return func(t *testing.T, s *Store, file string) {
		t.Helper()
		waitForTick(t, file)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// overwriteAndHide changes a file in place and sets its time back.
func overwriteAndHide(content string) func(*testing.T, *Store, string) {
	return func(t *testing.T, s *Store, file string) {
		t.Helper()
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		overwrite(content)(t, s, file)
		if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
}

// waitForTick waits until a change to the file gets another time than the last one: a file
// system's clock may be as coarse as the system's tick.
func waitForTick(t *testing.T, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	last := stampOf(info).ctime
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		probe := filepath.Join(t.TempDir(), "probe")
		if err := os.WriteFile(probe, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(probe); err == nil && stampOf(info).ctime > last {
			return
		}
	}
	t.Fatal("the clock of the file system stands still")
}
