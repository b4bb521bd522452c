package logfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/deploy/localplane/internal/logfile"
)

func TestLogBeginsAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log", "etcd.log")
	for _, run := range []string{"first", "second", "third"} {
		l := open(t, path, 0)
		print(t, l, run)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"etcd.log": "third", "etcd.log.1": "second"}
	if diff := cmp.Diff(want, files(t, filepath.Dir(path))); diff != "" {
		t.Errorf("logs after three runs (-want +got):\n%s", diff)
	}
}

func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etcd.log")
	l := open(t, path, 10)
	defer l.Close()
	for _, line := range []string{"12345", "67890", "abcde", "much longer than it may be", "x"} {
		print(t, l, line)
	}
	want := map[string]string{"etcd.log": "x", "etcd.log.1": "much longer than it may be"}
	if diff := cmp.Diff(want, files(t, filepath.Dir(path))); diff != "" {
		t.Errorf("logs (-want +got):\n%s", diff)
	}
}

func TestTail(t *testing.T) {
	long := strings.Repeat("0123456789\n", 1000)
	tests := map[string]struct{ in, want string }{
		"gives the last lines":             {in: "one\ntwo\nthree\n", want: "two\nthree"},
		"gives all of a short log":         {in: "one\n", want: "one"},
		"is empty where nothing is":        {in: "", want: ""},
		"reads the end of a long one":      {in: long, want: "0123456789\n0123456789"},
		"gives the end of an endless line": {in: strings.Repeat("x", 10000), want: strings.Repeat("x", 4096)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(tc.in), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := logfile.Tail(path, 2)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Tail() (-want +got):\n%s", diff)
			}
		})
	}
}

func open(t *testing.T, path string, limit int64) *logfile.Log {
	t.Helper()
	l, err := logfile.Open(path, limit)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func print(t *testing.T, l *logfile.Log, s string) {
	t.Helper()
	if _, err := l.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
	}
	return all
}
