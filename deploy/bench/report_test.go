package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		in   []time.Duration
		want time.Duration
	}{
		"the one in the middle":             {why: "one slow round says nothing", in: []time.Duration{9, 1, 2}, want: 2},
		"the mean of the two in the middle": {why: "neither is better than the other", in: []time.Duration{10, 1, 2, 4}, want: 3},
		"nothing of nothing":                {why: "no round, no time"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given := append([]time.Duration(nil), tc.in...)
			if got := median(tc.in); got != tc.want {
				t.Errorf("median(%v) = %d, want %d (%s)", tc.in, got, tc.want, tc.why)
			}
			if diff := cmp.Diff(given, tc.in); diff != "" {
				t.Errorf("median has changed the order of what it was given:\n%s", diff)
			}
		})
	}
}

func TestRatio(t *testing.T) {
	t.Parallel()
	if got, ok := ratio(3*time.Second, 2*time.Second); !ok || got != 1.5 {
		t.Errorf("ratio = %v, %t; want 1.5", got, ok)
	}
	if got, ok := ratio(3.0, 0); ok {
		t.Errorf("ratio to nothing = %v, want none", got)
	}
}

func TestMedianOf(t *testing.T) {
	t.Parallel()
	got := medianOf([]bound{
		{took: 3, cost: cost{cpu: 1, requests: map[string]int{"PATCH": 4}}},
		{took: 1, cost: cost{cpu: 2, requests: map[string]int{"PATCH": 4}}},
		{took: 2, cost: cost{cpu: 4, requests: map[string]int{"GET": 1}}},
	})
	want := &bound{took: 2, cost: cost{cpu: 7, requests: map[string]int{"PATCH": 8, "GET": 1}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(bound{}, cost{})); diff != "" {
		t.Errorf("medianOf, -want +got:\n%s", diff)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	got := table([]column{{title: "what", left: true}, {title: "n"}, {title: "why", left: true}}, [][]string{
		{"größer", "12", "so"},
		{"a", "3", ""},
	})
	want := strings.Join([]string{
		"what     n  why",
		"------  --  ---",
		"größer  12  so",
		"a        3",
		"",
	}, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table, -want +got:\n%s", diff)
	}
}

func TestTimeRows(t *testing.T) {
	t.Parallel()
	results := []result{
		{
			name: "with a floor", goal: "1.5 x floor", took: 90 * time.Millisecond, rounds: 4,
			floor:    &bound{took: 60 * time.Millisecond, cost: cost{requests: map[string]int{"PATCH": 16}}},
			programs: []spent{{program: "a", cost: cost{requests: map[string]int{"GET": 10}}}, {program: "b", cost: cost{requests: map[string]int{"PATCH": 12}}}},
		},
		{name: "a floor without requests", took: 12340 * time.Millisecond, rounds: 1, floor: &bound{took: 10 * time.Second}},
		{name: "no floor and no time", rounds: 1},
	}
	want := [][]string{
		{"with a floor", "4", "0.090", "0.060", "1.50x", "5.5", "4", "1.38x", "1.5 x floor"},
		{"a floor without requests", "1", "12.3", "10.0", "1.23x", "0", "-", "-", ""},
		{"no floor and no time", "1", "-", "-", "-", "0", "-", "-", ""},
	}
	if diff := cmp.Diff(want, timeRows(results)); diff != "" {
		t.Errorf("timeRows, -want +got:\n%s", diff)
	}
	for _, row := range want {
		if len(row) != len(timeColumns()) {
			t.Errorf("a row has %d cells, and there are %d columns", len(row), len(timeColumns()))
		}
	}
}

func TestCostRows(t *testing.T) {
	t.Parallel()
	results := []result{{
		name: "something", rounds: 2, floor: &bound{cost: cost{cpu: 30 * time.Millisecond, requests: map[string]int{"PATCH": 8}}},
		programs: []spent{
			{program: "a", cost: cost{cpu: time.Second, peak: 50 << 20, runs: 3, requests: map[string]int{"PATCH": 5, "GET": 2}}},
			{program: "b"},
		},
	}}
	want := [][]string{
		{"something", "a", "0.500", "50.0", "1.5", "3.5", "GET 1, PATCH 2.5"},
		{"", "b", "0.000", "0.0", "0", "0", ""},
		{"", "floor", "0.015", "-", "-", "4", "PATCH 4"},
	}
	if diff := cmp.Diff(want, costRows(results)); diff != "" {
		t.Errorf("costRows, -want +got:\n%s", diff)
	}
	for _, row := range want {
		if len(row) != len(costColumns()) {
			t.Errorf("a row has %d cells, and there are %d columns", len(row), len(costColumns()))
		}
	}
}

func TestSave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	about := machine{date: "2026-11-25", cores: 2}
	tests := map[string]struct {
		why, want string
		in        options
	}{
		"into a folder, named after date and machine": {
			why: "results of a machine are compared over time", in: options{out: dir, apps: 100}, want: filepath.Join(dir, "2026-11-25-2core.txt"),
		},
		"apart from those of another size": {
			why: "they cannot be compared", in: options{out: dir, apps: 1000}, want: filepath.Join(dir, "2026-11-25-2core-1000apps.txt"),
		},
		"apart from those of other controllers": {
			why: "they are what is compared with", in: options{out: dir, apps: 100, controllers: "/opt/others"}, want: filepath.Join(dir, "2026-11-25-2core-others.txt"),
		},
		"as the file that is named": {
			why: "the caller decides", in: options{out: filepath.Join(dir, "mine.txt"), apps: 100}, want: filepath.Join(dir, "mine.txt"),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := save(tc.in, about, "report"); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(tc.want); err != nil || string(got) != "report" {
				t.Errorf("%s = %q, %v; want the report (%s)", tc.want, got, err, tc.why)
			}
		})
	}
	if err := save(options{}, about, "report"); err != nil {
		t.Errorf("saving nowhere: %v", err)
	}
}

func TestGibibytes(t *testing.T) {
	t.Parallel()
	if got, want := gibibytes("16777216 kB"), "16.0 GiB"; got != want {
		t.Errorf("gibibytes = %q, want %q", got, want)
	}
	if got, want := gibibytes(""), "unknown"; got != want {
		t.Errorf("gibibytes of nothing = %q, want %q", got, want)
	}
}

func TestInParallelStopsAtAFailure(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad")
	err := inParallel(t.Context(), 100, func(_ context.Context, i int) error {
		if i == 3 {
			return bad
		}
		return nil
	})
	if !errors.Is(err, bad) {
		t.Errorf("inParallel = %v, want %v", err, bad)
	}
}
