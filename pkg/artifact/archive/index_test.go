package archive_test

import (
	"archive/tar"
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/artifact/archive"
)

// severalMembers is a tree whose archive has several groups, one of them with several members.
func severalMembers() tree {
	return manifestTree(600).with("apps/002/large", noisy(300_000)).with("apps/004/base/run*", "#!").with("ünï code\xff", "x")
}

// TestEveryReaderReadsIt reads archives with other readers than ours.
func TestEveryReaderReadsIt(t *testing.T) {
	tr := severalMembers()
	written := tr.write(t, manifestTree(600).write(t, nil)) // with parts that were copied
	want := make(map[string]string)
	for _, e := range readAll(t, written) {
		if !e.Dir {
			want[e.Path] = e.content
		}
	}
	if len(want) != len(tr) {
		t.Fatalf("our reader sees %d files of %d", len(want), len(tr))
	}

	t.Run("standard library", func(t *testing.T) {
		zip, err := stdgzip.NewReader(bytes.NewReader(written))
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]string)
		for r := tar.NewReader(zip); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if content, err := io.ReadAll(r); h.Typeflag == tar.TypeReg {
				got[h.Name] = string(content)
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		if rest, err := io.ReadAll(zip); err != nil || len(rest) > 0 {
			t.Errorf("after the end: %d bytes, %v", len(rest), err)
		}
	})

	for _, command := range []string{"tar -xzf archive.tar.gz -C out", "gzip -t archive.tar.gz", "busybox tar -xzf archive.tar.gz -C out"} {
		t.Run(command, func(t *testing.T) {
			args := strings.Fields(command)
			if _, err := exec.LookPath(args[0]); err != nil {
				t.Skipf("%s is not on this machine", args[0])
			}
			dir := t.TempDir()
			if err := errors.Join(os.Mkdir(filepath.Join(dir, "out"), 0o700), os.WriteFile(filepath.Join(dir, "archive.tar.gz"), written, 0o600)); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v, and it says: %s", err, out)
			}
			if args[0] == "gzip" {
				return
			}
			for path, content := range want {
				if got, err := os.ReadFile(filepath.Join(dir, "out", path)); err != nil || string(got) != content {
					t.Errorf("%q: %d bytes, %v; want %d", path, len(got), err, len(content))
				}
			}
		})
	}
}

// TestDamageIsNotCopied: bits rot between two archives.
func TestDamageIsNotCopied(t *testing.T) {
	tr := severalMembers()
	last := tr.write(t, nil)
	tr.with("apps/003/base/001.yaml", "changed")
	want := tr.write(t, nil)
	step := max(1, len(last)/100)
	check := func(at int) {
		damaged := bytes.Clone(last)
		damaged[at] ^= 4
		var from *archive.Earlier
		if e, err := archive.ReadEarlier(bytes.NewReader(damaged), int64(len(damaged))); err == nil {
			from = e
		}
		var got bytes.Buffer
		if err := archive.WriteTree(&got, archive.Limits{}, tr.nodes(), tr.source(), from); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Fatalf("byte %d of %d: %v; the archive has %d bytes, and is not as it would be without an earlier one", at, len(last), err, got.Len())
		}
	}
	for at := 0; at < len(last); at += step {
		check(at)
	}
	for at := len(last) - 60; at < len(last); at++ { // the end of the index, and the footer
		check(at)
	}
}

func TestOtherArchivesHaveNoIndex(t *testing.T) {
	tr := severalMembers()
	whole := tr.write(t, nil)
	tests := map[string]struct {
		why string
		in  []byte
	}{
		"of a Writer":  {why: "it knows no names of content", in: writeTree(t, os.DirFS("testdata/fleet"), nil)},
		"empty":        {why: "not even an archive", in: nil},
		"short":        {why: "not even an archive", in: []byte("short")},
		"cut":          {why: "it has no end", in: whole[:len(whole)-1]},
		"only its end": {why: "the index is not there", in: whole[len(whole)-60:]},
		"continued":    {why: "the end is another's", in: append(bytes.Clone(whole), gz(nil)...)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := archive.ReadEarlier(bytes.NewReader(tc.in), int64(len(tc.in))); err == nil {
				t.Errorf("an index was found (%s)", tc.why)
			}
		})
	}
}

func FuzzReadEarlier(f *testing.F) {
	tr := tree{"a/b": "1", "a/c": noisy(300_000), "d": "2"}
	last := tr.write(f, nil)
	f.Add(last, uint(0), byte(0))
	f.Add(last, uint(len(last)-30), byte(1))
	f.Add(last[:len(last)/2], uint(0), byte(0))
	f.Add([]byte{}, uint(0), byte(0))
	tr["d"] = "changed"
	want := tr.write(f, nil)
	f.Fuzz(func(t *testing.T, in []byte, at uint, with byte) {
		if at < uint(len(in)) {
			in = bytes.Clone(in)
			in[at] ^= with
		}
		e, err := archive.ReadEarlier(bytes.NewReader(in), int64(len(in)))
		if err != nil {
			e = nil
		}
		var got bytes.Buffer
		if err := archive.WriteTree(&got, archive.Limits{}, tr.nodes(), tr.source(), e); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%v; the archive has %d bytes, and is not as it would be without an earlier one", err, got.Len())
		}
	})
}
