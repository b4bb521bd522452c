package archive_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"weir.dev/pkg/artifact/archive"
)

// manifests calls fn for 20,000 small files in the order of an archive.
func manifests(fn func(path string, content []byte)) {
	for d := range 200 {
		for f := range 100 {
			path := fmt.Sprintf("apps/%03d/base/%03d.yaml", d, f)
			fn(path, fmt.Appendf(nil, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app-%d-%d\n  namespace: ns-%d\ndata:\n  key: value-%d\n  other: %q\n", d, f, d%17, d*f, path))
		}
	}
}

func BenchmarkWrite20000Files(b *testing.B) {
	type file struct {
		path    string
		content []byte
	}
	var files []file
	var size int64
	manifests(func(path string, content []byte) {
		files = append(files, file{path, content})
		size += int64(len(content))
	})
	b.SetBytes(size)
	b.ReportAllocs()
	var out bytes.Buffer
	var content bytes.Reader
	for b.Loop() {
		out.Reset()
		w := archive.NewWriter(&out, archive.Limits{})
		for _, f := range files {
			content.Reset(f.content)
			if err := w.File(f.path, false, int64(len(f.content)), &content); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(out.Len()), "archive-bytes")
}

func BenchmarkRead20000Files(b *testing.B) {
	var out bytes.Buffer
	var size int64
	w := archive.NewWriter(&out, archive.Limits{})
	manifests(func(path string, content []byte) {
		size += int64(len(content))
		if err := w.File(path, false, int64(len(content)), bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
	})
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		err := archive.Read(bytes.NewReader(out.Bytes()), archive.Limits{}, func(_ archive.Entry, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
