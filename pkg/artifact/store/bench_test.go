package store

import (
	"strings"
	"testing"
)

func BenchmarkPut1MiB(b *testing.B) {
	s := open(b, Options{})
	path := at(b, "a.tar.gz")
	content := text(strings.Repeat("x", 1<<20))
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Put(path, content); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify32MiB(b *testing.B) {
	s := open(b, Options{})
	path := at(b, "a.tar.gz")
	stored := put(b, s, path, strings.Repeat("x", 32<<20))
	verify := func() {
		if err := s.Verify(path, stored.Digest, stored.Size); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			verify()
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(32 << 20)
		b.ReportAllocs()
		for b.Loop() {
			s.known.forget(path.String())
			verify()
		}
	})
}
