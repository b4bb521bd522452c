package archive_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"weir.dev/pkg/artifact/archive"
)

// TestBombsAreNotInflated: what is small to download and large to unpack is refused by
// what it says of itself, before the content is read.
func TestBombsAreNotInflated(t *testing.T) {
	const declared = 10 << 30
	tests := map[string]struct {
		why string
		in  []byte
	}{
		"one file": {why: "a gigabyte of zeros takes a megabyte", in: rawEntry('0', "a", declared, nil)},
		"a sparse file": {
			why: "its holes take nothing at all",
			in:  append(rawEntry('x', "pax", 0, paxRecords("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "a", "GNU.sparse.realsize", fmt.Sprint(int64(declared)))), rawEntry('0', "a", 512, []byte("0\n"))...),
		},
		"an old sparse file": {why: "the same in GNU's first format", in: oldSparse("a", declared)},
		"a size in a record": {why: "it replaces that of the header", in: append(rawEntry('x', "pax", 0, paxRecords("size", fmt.Sprint(int64(declared)))), rawEntry('0', "a", 0, nil)...)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			zeros := gz(make([]byte, 1<<20))
			endless := io.MultiReader(bytes.NewReader(gz(tc.in)), repeat(zeros))
			source := &counted{r: endless}
			err := archive.Read(source, archive.Limits{MaxSize: -1}, func(e archive.Entry, _ io.Reader) error {
				t.Errorf("entry %+v", e)
				return nil
			})
			if !errors.Is(err, archive.ErrTooLarge) {
				t.Errorf("error = %v, want %v (%s)", err, archive.ErrTooLarge, tc.why)
			}
			if most := int64(256 << 10); source.n > most {
				t.Errorf("%d bytes were read, want no more than %d", source.n, most)
			}
		})
	}
}

// TestMillionEntries reads what takes little to download, too.
func TestMillionEntries(t *testing.T) {
	var some bytes.Buffer
	w := tar.NewWriter(&some)
	const each, times = 10_000, 100
	for i := range each {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	zip := gz(some.Bytes())
	source := &counted{r: io.LimitReader(repeat(zip), int64(len(zip))*times)}
	entries := 0
	err := archive.Read(source, archive.Limits{}, func(archive.Entry, io.Reader) error {
		entries++
		return nil
	})
	if !errors.Is(err, archive.ErrTooLarge) || entries != archive.DefaultMaxFiles {
		t.Errorf("%d entries, %v; want %d and %v", entries, err, archive.DefaultMaxFiles, archive.ErrTooLarge)
	}
	if most := int64(len(zip)) * (archive.DefaultMaxFiles/each + 2); source.n > most {
		t.Errorf("%d bytes were read, want no more than %d", source.n, most)
	}
}

// TestOddNames: a name is bytes, and a path check that takes them for text lets some by.
func TestOddNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"line\nbreak":          true,
		"tab\tand \x1b[31mred": true,
		"\xff\xfe not UTF-8":   true,
		`..\..\windows`:        true, // one name, where a slash separates
		"...":                  true,
		"a/..b/c..":            true,
		" ":                    true,
		"-rf":                  true,
		"COM1":                 true,
		"．．/full width":        true,
		"a/..":                 false,
		"..":                   false,
		"./../a":               false,
		"a//../../b":           false,
		"a/./../../b":          false,
		"//a":                  false,
	} {
		in := pack(t, &member{tar.Header{Typeflag: tar.TypeReg, Name: name, Format: tar.FormatGNU}, "x"})
		got, err := collect(in, archive.Limits{})
		switch {
		case ok && (err != nil || len(got) != 1 || got[0].Path != name):
			t.Errorf("%q: %v, %v; want it as it is", name, got, err)
		case !ok && (!errors.Is(err, archive.ErrCorrupt) || len(got) > 0):
			t.Errorf("%q: %v, %v; want %v", name, got, err, archive.ErrCorrupt)
		}
	}
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// repeat reads the same bytes again and again.
func repeat(b []byte) io.Reader { return &repeated{b: b} }

type repeated struct {
	b  []byte
	at int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.b[r.at:])
	r.at = (r.at + n) % len(r.b)
	return n, nil
}

// rawEntry is a header and content in blocks, whatever the header says of its size.
func rawEntry(kind byte, name string, size int64, content []byte) []byte {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000644\x00")
	copy(h[108:], "0000000\x00")
	copy(h[116:], "0000000\x00")
	if len(content) > 0 && size == 0 {
		size = int64(len(content))
	}
	copy(h[124:], octal(size, 12))
	copy(h[136:], "00000000000\x00")
	h[156] = kind
	copy(h[257:], "ustar\x0000")
	return append(checked(h), blocks(content)...)
}

// octal is a number as a header has it. One that is too large for that is binary.
func octal(n int64, width int) string {
	if s := fmt.Sprintf("%0*o\x00", width-1, n); len(s) <= width {
		return s
	}
	b := make([]byte, width)
	b[0] = 0x80
	for i := range 8 {
		b[width-1-i] = byte(n >> (8 * i))
	}
	return string(b)
}

// checked puts the checksum into a header.
func checked(h []byte) []byte {
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

func blocks(content []byte) []byte {
	out := bytes.Clone(content)
	for len(out)%512 != 0 {
		out = append(out, 0)
	}
	return out
}

func paxRecords(pairs ...string) []byte {
	var out []byte
	for i := 0; i < len(pairs); i += 2 {
		rest := " " + pairs[i] + "=" + pairs[i+1] + "\n"
		n := len(rest) + 1
		for len(fmt.Sprint(n))+len(rest) != n {
			n++
		}
		out = append(out, fmt.Sprint(n)+rest...)
	}
	return out
}

// oldSparse is a file of holes in GNU's first format for that.
func oldSparse(name string, size int64) []byte {
	h := rawEntry('S', name, 0, nil)
	copy(h[257:], "ustar  \x00")
	copy(h[386:], octal(size, 12)) // one piece without bytes, at the end
	copy(h[398:], octal(0, 12))
	copy(h[483:], octal(size, 12))
	return checked(h)
}
