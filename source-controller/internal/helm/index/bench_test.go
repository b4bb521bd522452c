package index_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/repo"
	"sigs.k8s.io/yaml"

	"weir.dev/source-controller/internal/helm/index"
)

// large is an index of n versions like those of a public repository.
func large(tb testing.TB, n int) []byte {
	tb.Helper()
	const perChart = 100
	f := &repo.IndexFile{APIVersion: "v1", Generated: time.Unix(1e9, 0).UTC(), Entries: make(map[string]repo.ChartVersions)}
	for i := range n {
		name := fmt.Sprintf("chart-%d", i/perChart)
		version := fmt.Sprintf("%d.%d.%d", i%7, i%11, i%perChart)
		f.Entries[name] = append(f.Entries[name], &repo.ChartVersion{
			Metadata: &chart.Metadata{
				APIVersion: "v2", Name: name, Version: version, AppVersion: "1.2.3", Type: "application",
				Description: "An application that does what many applications do, and says so in a text that is long enough for two lines",
				Home:        "https://example.com/" + name, Icon: "https://example.com/" + name + ".svg",
				Keywords: []string{"web", "http", "app"}, Sources: []string{"https://example.com/git/" + name},
				Maintainers:  []*chart.Maintainer{{Name: "somebody", URL: "https://example.com"}},
				Annotations:  map[string]string{"category": "Infrastructure", "images": "- name: app\n  image: example.com/app:1.2.3\n"},
				Dependencies: []*chart.Dependency{{Name: "common", Version: "2.x.x", Repository: "oci://example.com/charts", Tags: []string{"common"}}},
			},
			URLs:    []string{"https://example.com/charts/" + name + "-" + version + ".tgz"},
			Created: time.Unix(int64(1e9+i), 12345).UTC(),
			Digest:  fmt.Sprintf("%064x", i*7919),
		})
	}
	data, err := yaml.Marshal(f)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// allocated counts the bytes that fn allocates.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestCostsHalfOfAPlainUnmarshal is not parallel: it counts what the process allocates.
func TestCostsHalfOfAPlainUnmarshal(t *testing.T) {
	data := large(t, 2000)
	ours := allocated(func() {
		x, err := index.Parse(data)
		if err != nil || x.Versions() != 2000 || x.Charts() != 20 {
			t.Errorf("the index was read as %v, %v", x, err)
		}
	})
	plain := allocated(func() {
		if err := yaml.Unmarshal(data, new(repo.IndexFile)); err != nil {
			t.Error(err)
		}
	})
	if ours > plain/2 {
		t.Errorf("reading an index of %d bytes allocates %d bytes; a plain unmarshal %d: want half of that at most", len(data), ours, plain)
	}
	t.Logf("index of %d bytes: %d bytes allocated; plain unmarshal: %d", len(data), ours, plain)
}

const versions = 30000

func BenchmarkParse(b *testing.B) {
	data := large(b, versions)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := index.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlainUnmarshal(b *testing.B) {
	data := large(b, versions)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := yaml.Unmarshal(data, new(repo.IndexFile)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	x, err := index.Parse(large(b, versions))
	if err != nil {
		b.Fatal(err)
	}
	var stored strings.Builder
	if err := x.WriteJSON(&stored); err != nil {
		b.Fatal(err)
	}
	text := []byte(stored.String())
	b.ReportAllocs()
	for b.Loop() {
		if v, err := index.Find(bytes.NewReader(text), "chart-7"); err != nil || len(v) != 100 {
			b.Fatal(len(v), err)
		}
	}
}
