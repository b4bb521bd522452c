package ocirepository

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/pkg/artifact/archive"
	"weir.dev/pkg/oci/ocitest"
)

// repack extracts a layer and packs it, as a run does, and returns both what the archive
// has and its bytes.
func repack(t *testing.T, layer []byte, limits archive.Limits, ignore *string) (map[string]string, []byte, error) {
	t.Helper()
	s, err := newSpool()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.fill(bytes.NewReader(layer), limits); err != nil {
		return nil, nil, err
	}
	ignored, err := s.ignored(ignore)
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	if err := s.pack(&out, ignored); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	err = archive.Read(bytes.NewReader(out.Bytes()), archive.Limits{}, func(e archive.Entry, r io.Reader) error {
		text, err := io.ReadAll(r)
		switch {
		case e.Dir:
			got[e.Path+"/"] = ""
		case e.Executable:
			got[e.Path] = "x:" + string(text)
		default:
			got[e.Path] = string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, out.Bytes(), nil
}

func TestRepack(t *testing.T) {
	t.Parallel()
	file := func(name string) *tar.Header { return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644} }
	sized := func(h *tar.Header, n int) *tar.Header { h.Size = int64(n); return h }
	text := func(s string) *string { return &s }
	tests := map[string]struct {
		why     string
		headers []*tar.Header
		content map[string]string
		ignore  *string
		want    map[string]string
	}{
		"any order": {
			headers: []*tar.Header{sized(file("z"), 1), file("a/b"), file("a.txt"), file("a-b")}, content: map[string]string{"z": "1"},
			want: map[string]string{"a/": "", "a/b": "", "a.txt": "", "a-b": "", "z": "1"},
		},
		"folders": {
			why:     "an empty one is kept, as in a work tree",
			headers: []*tar.Header{{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755}, {Typeflag: tar.TypeDir, Name: "empty/", Mode: 0o755}, file("./a")},
			want:    map[string]string{"empty/": "", "a": ""},
		},
		"what is no file": {
			why: "links and devices are left out",
			headers: []*tar.Header{
				{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "/etc/passwd"}, {Typeflag: tar.TypeChar, Name: "null"},
				{Typeflag: tar.TypeFifo, Name: "pipe"}, file("a"),
			},
			want: map[string]string{"a": ""},
		},
		"a link to a folder, and a file below": {
			why:     "the file is below a folder of that name, and nowhere else",
			headers: []*tar.Header{{Typeflag: tar.TypeSymlink, Name: "etc", Linkname: "/etc"}, file("etc/passwd")},
			want:    map[string]string{"etc/": "", "etc/passwd": ""},
		},
		"twice": {
			why:     "the last counts",
			headers: []*tar.Header{sized(file("a"), 1), sized(&tar.Header{Typeflag: tar.TypeReg, Name: "./a", Mode: 0o755}, 1)},
			content: map[string]string{"a": "1", "./a": "2"},
			want:    map[string]string{"a": "x:2"},
		},
		"odd names": {
			headers: []*tar.Header{file("a b"), file("-rf"), file("ü"), file("a\nb"), file("\xff\xfe"), file("..."), file("a..b")},
			want:    map[string]string{"a b": "", "-rf": "", "ü": "", "a\nb": "", "\xff\xfe": "", "...": "", "a..b": ""},
		},
		"rules that come last": {
			headers: []*tar.Header{file("a.txt"), file("sub/b.txt"), file("sub/c.txt"), sized(file("sub/.sourceignore"), 6)},
			content: map[string]string{"sub/.sourceignore": "b.txt\n"},
			want:    map[string]string{"a.txt": "", "sub/": "", "sub/c.txt": "", "sub/.sourceignore": "b.txt\n"},
		},
		"a list of the spec": {headers: []*tar.Header{file("a.txt"), file("a.jpg")}, ignore: text("*.txt"), want: map[string]string{"a.jpg": ""}},
		"nothing is left":    {headers: []*tar.Header{file("a.jpg")}, want: map[string]string{}},
	}
	for name, tc := range tests {
		got, _, err := repack(t, ocitest.TarGzOf(tc.headers, tc.content), archive.Limits{}, tc.ignore)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (%s) (-want +got):\n%s", name, tc.why, diff)
		}
	}
}

// TestRepackIsReproducible: what a layer is packed like is no matter.
func TestRepackIsReproducible(t *testing.T) {
	t.Parallel()
	file := func(name string, mode int64) *tar.Header {
		return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Uid: int(mode), Uname: "somebody"}
	}
	_, one, err := repack(t, ocitest.TarGzOf([]*tar.Header{file("b", 0o644), file("a/c", 0o600)}, nil), archive.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := repack(t, ocitest.TarGzOf([]*tar.Header{{Typeflag: tar.TypeDir, Name: "a", Mode: 0o700}, file("./a/c", 0o666), file("b", 0o444)}, nil), archive.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one, other) {
		t.Error("the same files make other bytes")
	}
}

func TestLayersThatAreTooMuch(t *testing.T) {
	t.Parallel()
	bomb := ocitest.TarGz(map[string]string{"zeros": strings.Repeat("\x00", 1<<20)})
	many := make(map[string]string)
	for i := range 1000 {
		many[fmt.Sprint(i)] = ""
	}
	rules := ocitest.TarGz(map[string]string{".sourceignore": strings.Repeat("x", 1<<20+1)})
	tests := map[string]struct {
		layer  []byte
		limits archive.Limits
		err    error
	}{
		"unpacks to much": {layer: bomb, limits: archive.Limits{MaxUnpacked: 1<<20 - 1}, err: archive.ErrTooLarge},
		"many files":      {layer: ocitest.TarGz(many), limits: archive.Limits{MaxFiles: 999}, err: archive.ErrTooLarge},
		"large":           {layer: bomb, limits: archive.Limits{MaxSize: 100}, err: archive.ErrTooLarge},
		"rules":           {layer: rules, err: archive.ErrTooLarge},
		"cut":             {layer: bomb[:len(bomb)-20], err: archive.ErrCorrupt},
		"something after": {layer: append(bytes.Clone(bomb), "more"...), err: archive.ErrCorrupt},
		"empty":           {err: archive.ErrCorrupt},
	}
	for name, tc := range tests {
		if _, _, err := repack(t, tc.layer, tc.limits, nil); !errors.Is(err, tc.err) {
			t.Errorf("%s: %v; want %v", name, err, tc.err)
		}
	}
}
