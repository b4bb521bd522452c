package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// profile is as net/http/pprof has it, with a rate at which nearly all is sampled.
const profile = `heap profile: 4: 4000 [9: 9000] @ heap/4
1: 1000 [1: 1000] @ 0x1 0x2 0x3
#	0x1	encoding/json.(*decodeState).literalStore+0x65	/go/src/encoding/json/decode.go:1
#	0x2	k8s.io/apimachinery/pkg/runtime.Decode+0x1f	/mod/decode.go:2
#	0x3	weir.dev/pkg/drift.(*Watcher).note+0x1	/weir/drift.go:3
#	0x4	k8s.io/client-go/tools/cache.(*Reflector).Run+0x1	/mod/reflector.go:4

2: 2000 [2: 2000] @ 0x1 0x5
#	0x5	k8s.io/apimachinery/pkg/runtime.Decode+0x1f	/mod/decode.go:2

1: 1000 [6: 6000] @ 0x6
#	0x6	bytes.makeSlice+0x1f	/go/src/bytes/buffer.go:2


# runtime.MemStats
# Alloc = 7000
# HeapAlloc = 5000
`

func TestParseHeap(t *testing.T) {
	t.Parallel()
	got, err := parseHeap(profile)
	if err != nil {
		t.Fatal(err)
	}
	want := heap{live: 5000, parts: map[string]int64{"weir.dev/pkg/drift": 1000, "k8s.io/apimachinery/pkg/runtime": 2000, "bytes": 1000}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(heap{})); diff != "" {
		t.Errorf("parseHeap, -want +got:\n%s", diff)
	}
	for _, bad := range []string{"heap profile: x", "# HeapAlloc = x"} {
		if _, err := parseHeap(bad); err == nil {
			t.Errorf("parseHeap(%q) finds nothing wrong", bad)
		}
	}
}

func TestUnsample(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why                 string
		objects, size, rate float64
		least, most         float64
	}{
		"small objects stand for many more": {why: "one in rate bytes is seen", objects: 1, size: 16, rate: 512 << 10, least: 512 << 10, most: 513 << 10},
		"large ones are seen each":          {why: "none is missed", objects: 1, size: 64 << 20, rate: 512 << 10, least: 64 << 20, most: 64 << 20},
		"nothing is nothing":                {why: "what was freed is not in use", rate: 512 << 10},
	}
	for name, tc := range tests {
		if got := unsample(tc.objects, tc.size, tc.rate); got < tc.least || got > tc.most {
			t.Errorf("%s: unsample = %f, want between %f and %f (%s)", name, got, tc.least, tc.most, tc.why)
		}
	}
}

func TestPackageOf(t *testing.T) {
	t.Parallel()
	for function, want := range map[string]string{
		"a.example.com/b/c.(*T).f+0x1f": "a.example.com/b/c",
		"gopkg.in/yaml%2ev3.Unmarshal":  "gopkg.in/yaml.v3",
		"runtime.malg+0x2":              "runtime",
	} {
		if got := packageOf(function); got != want {
			t.Errorf("packageOf(%q) = %q, want %q", function, got, want)
		}
	}
}

func TestGrown(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	before := []held{{program: "a", heap: heap{parts: map[string]int64{"x": mib, "y": mib}}}}
	after := []held{{program: "a", heap: heap{parts: map[string]int64{"x": 3 * mib, "y": mib, "z": 5 * mib, "little": 1}}}}
	want := []holder{{"a", "z", 5 * mib}, {"a", "x", 2 * mib}}
	if diff := cmp.Diff(want, grown(before, after), cmp.AllowUnexported(holder{})); diff != "" {
		t.Errorf("grown, -want +got:\n%s", diff)
	}
}

func TestMemoryRows(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	memory := []held{
		{program: "b", when: "before", resident: 40 * mib, files: 30 * mib, peak: 41 * mib, heap: heap{live: 10 * mib}},
		{program: "a", when: "before", resident: 20 * mib, peak: 20 * mib},
		{program: "b", when: "idle", resident: 60 * mib, peak: 90 * mib, heap: heap{live: 15 * mib}},
		{program: "c", when: "before", resident: 60 * mib, peak: 60 * mib, each: 10},
		{program: "c", when: "with ten", resident: 61 * mib, peak: 62 * mib, each: 10},
	}
	want := [][]string{
		{"a", "before", "20.0", "0.0", "20.0", "-", "-", "-"},
		{"b", "before", "40.0", "30.0", "41.0", "10.0", "-", "-"},
		{"", "idle", "60.0", "0.0", "90.0", "15.0", "20.5", "5.1"},
		{"c", "before", "60.0", "0.0", "60.0", "-", "-", "-"},
		{"", "with ten", "61.0", "0.0", "62.0", "-", "102.4", "-"},
	}
	rows := memoryRows(memory, 1000)
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("memoryRows, -want +got:\n%s", diff)
	}
	for _, row := range rows {
		if len(row) != len(memoryColumns()) {
			t.Errorf("a row has %d cells, and there are %d columns", len(row), len(memoryColumns()))
		}
	}
}
