package git_test

import (
	"fmt"
	"testing"

	"weir.dev/pkg/git"
	"weir.dev/pkg/gitserver"
	"weir.dev/pkg/gitserver/gitservertest"
)

// The repository of the benchmarks: small, so that they run in a moment.
const (
	benchFolders = 100
	benchFiles   = 20 // of each folder
	benchSize    = 1000
)

// monorepo serves a repository with many files.
func monorepo(b *testing.B) (*gitservertest.Server, *gitservertest.Repo, *follower) {
	b.Helper()
	s, r, f := serve(b, needs(b, gitserver.GitCommand))
	files := make(map[string]string)
	for i := range benchFolders {
		for j := range benchFiles {
			files[fmt.Sprintf("apps/%03d/base/%03d.yaml", i, j)] = noise(i*benchFiles+j, benchSize)
		}
	}
	r.Commit("main", "all", gitserver.Files(files)...)
	return s, r, f
}

func BenchmarkFirstFetch(b *testing.B) {
	s, _, f := monorepo(b)
	s.Counter.Reset()
	for b.Loop() {
		if err := f.store().Discard(); err != nil {
			b.Fatal(err)
		}
		f.fetch(branch("main"))
	}
	report(b, s)
}

func BenchmarkOneFileCommit(b *testing.B) {
	s, r, f := monorepo(b)
	f.fetch(branch("main"))
	s.Counter.Reset()
	n := 0
	for b.Loop() {
		b.StopTimer()
		n++
		r.Commit("main", "one", gitserver.File("apps/050/base/010.yaml", noise(-n, benchSize)))
		b.StartTimer()
		f.fetch(branch("main"))
	}
	report(b, s)
}

// BenchmarkNothingNew is what an unchanged remote costs at each interval.
func BenchmarkNothingNew(b *testing.B) {
	s, _, f := monorepo(b)
	f.fetch(branch("main"))
	s.Counter.Reset()
	for b.Loop() {
		f.fetch(branch("main"))
	}
	report(b, s)
}

// BenchmarkRead is what follows a fetch: every file is read for the archive.
func BenchmarkRead(b *testing.B) {
	_, r, f := monorepo(b)
	for i := range 10 {
		f.fetch(branch("main"))
		r.Commit("main", "one", gitserver.File("apps/050/base/010.yaml", noise(-i, benchSize)))
	}
	head := hash(r.Head("main"))
	f.fetch(git.Reference{Branch: "main"})
	for b.Loop() {
		snapshot, ok := f.store().Has(head)
		if !ok {
			b.Fatal("the commit is gone")
		}
		if n := count(content(b, snapshot)); n != benchFolders*benchFiles {
			b.Fatalf("%d files", n)
		}
	}
}

// report adds what was sent for each iteration.
func report(b *testing.B, s *gitservertest.Server) {
	b.Helper()
	got := s.Counter.Counts()
	b.ReportMetric(float64(got.Bytes)/float64(b.N), "B-sent/op")
	b.ReportMetric(float64(got.Requests())/float64(b.N), "requests/op")
}
