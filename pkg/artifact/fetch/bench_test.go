package fetch_test

import (
	"fmt"
	"testing"

	"weir.dev/pkg/artifact/fetch"
)

// repository returns the archive of 20,000 small files.
func repository(b *testing.B) ([]byte, string) {
	b.Helper()
	files := make(map[string]string, 20_000)
	for d := range 200 {
		for f := range 100 {
			path := fmt.Sprintf("apps/%03d/base/%03d.yaml", d, f)
			files[path] = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app-%d-%d\n  namespace: ns-%d\ndata:\n  key: value-%d\n  other: %q\n", d, f, d%17, d*f, path)
		}
	}
	return pack(b, files)
}

func BenchmarkFetch20000Files(b *testing.B) {
	content, digest := repository(b)
	server := serve(b, body(content))
	c := newCache(b, fetch.Options{Idle: -1})
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		tree, err := c.Get(b.Context(), server.URL, digest)
		if err != nil {
			b.Fatal(err)
		}
		tree.Release()
	}
	if got := c.Stats(); got.Downloads != got.Requests {
		b.Errorf("stats = %+v", got)
	}
}

func BenchmarkGetOfAKnownTree(b *testing.B) {
	content, digest := repository(b)
	server := serve(b, body(content))
	c := newCache(b, fetch.Options{})
	get(b, c, server.URL, digest)
	b.ReportAllocs()
	for b.Loop() {
		tree, err := c.Get(b.Context(), server.URL, digest)
		if err != nil {
			b.Fatal(err)
		}
		tree.Release()
	}
}

func BenchmarkReadFile(b *testing.B) {
	content, digest := repository(b)
	tree := get(b, newCache(b, fetch.Options{}), serve(b, body(content)).URL, digest)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tree.ReadFile("apps/100/base/050.yaml"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFileDigest(b *testing.B) {
	content, digest := repository(b)
	tree := get(b, newCache(b, fetch.Options{}), serve(b, body(content)).URL, digest)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := tree.FileDigest("apps/100/base/050.yaml"); !ok {
			b.Fatal("not there")
		}
	}
}
