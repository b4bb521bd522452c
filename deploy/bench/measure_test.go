package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCPUTime(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why  string
		stat string
		want time.Duration
		fail bool
	}{
		"adds user and system time": {
			why:  "both are work that the program caused",
			stat: "812 (controller) S 1 812 812 0 -1 4194560 9000 0 3 0 150 25 7 9 20 0 12 0 5000 1300000 9000",
			want: 1750 * time.Millisecond,
		},
		"takes a name with spaces and parentheses": {
			why:  "the kernel does not escape it",
			stat: "812 (a (b) c d) S 1 812 812 0 -1 4194560 9000 0 3 0 1 1 7 9 20 0 12 0 5000",
			want: 20 * time.Millisecond,
		},
		"refuses what is cut off":    {why: "a wrong time is worse than none", stat: "812 (controller) S 1 812", fail: true},
		"refuses what has no name":   {why: "fields are counted from there", stat: "812 S 1", fail: true},
		"refuses what is no number":  {why: "a wrong time is worse than none", stat: "812 (c) S 1 812 812 0 -1 4194560 9000 0 3 0 x 25 7", fail: true},
		"refuses a negative of time": {why: "there is none", stat: "812 (c) S 1 812 812 0 -1 4194560 9000 0 3 0 5 -1 7", fail: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := cpuTime(tc.stat)
			if (err != nil) != tc.fail || got != tc.want {
				t.Errorf("cpuTime(%q) = %s, %v; want %s, failure %t (%s)", tc.stat, got, err, tc.want, tc.fail, tc.why)
			}
		})
	}
}

func TestMemoryOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why    string
		status string
		want   int64
		fail   bool
	}{
		"tells the peak from what is resident now": {
			why:    "both begin alike",
			status: "Name:\tcontroller\nVmPeak:\t 1300000 kB\nVmHWM:\t   51200 kB\nVmRSS:\t   40000 kB\n",
			want:   50 << 20,
		},
		"fails without one":          {why: "a zombie has none, and used nothing worth telling", status: "Name:\tcontroller\n", fail: true},
		"fails with an unknown unit": {why: "the kernel has had kB for ever", status: "VmHWM:\t 50 MB\n", fail: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := memoryOf(tc.status, "VmHWM")
			if (err != nil) != tc.fail || got != tc.want {
				t.Errorf("memoryOf(%q) = %d, %v; want %d, failure %t (%s)", tc.status, got, err, tc.want, tc.fail, tc.why)
			}
		})
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	t.Parallel()
	_, peak, err := usage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if peak < 1<<20 {
		t.Errorf("peak = %d bytes; a Go program takes more than that", peak)
	}
	if err := resetPeak(os.Getpid()); err != nil {
		t.Errorf("resetPeak: %v", err)
	}
}

func TestSumBy(t *testing.T) {
	t.Parallel()
	const text = `# HELP rest_client_requests_total Number of HTTP requests, partitioned by status code, method, and host.
# TYPE rest_client_requests_total counter
rest_client_requests_total{code="200",host="127.0.0.1:6443",method="GET"} 12
rest_client_requests_total{code="200",host="127.0.0.1:6443",method="PATCH"} 1.2e+03
rest_client_requests_total{code="409",host="a \"b\", c=\"d\"}",method="PATCH"} 3 1700000000000
rest_client_requests_total_more{code="200",method="GET"} 100
`
	tests := map[string]struct {
		why    string
		text   string
		metric string
		want   map[string]int
		fail   bool
	}{
		"adds up over the other labels": {
			why: "an answer of 409 was a request too", text: text, metric: "rest_client_requests_total",
			want: map[string]int{"GET": 12, "PATCH": 1203},
		},
		"finds nothing of an unknown metric": {why: "a program that has asked nothing yet has none", text: text, metric: "no_such_total", want: map[string]int{}},
		"refuses a label that does not end":  {why: "the answer was cut off", text: "m{method=\"GE", metric: "m", fail: true},
		"refuses a sample without a value":   {why: "the answer was cut off", text: "m{method=\"GET\"}", metric: "m", fail: true},
		"refuses a value that is no number":  {why: "the answer was cut off", text: "m{method=\"GET\"} 1x", metric: "m", fail: true},
		"refuses labels without a brace":     {why: "the answer was cut off", text: "m{method", metric: "m", fail: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := sumBy(tc.text, tc.metric, "method")
			if (err != nil) != tc.fail {
				t.Fatalf("sumBy: %v; want failure %t (%s)", err, tc.fail, tc.why)
			}
			if diff := cmp.Diff(tc.want, got); !tc.fail && diff != "" {
				t.Errorf("sumBy, -want +got (%s):\n%s", tc.why, diff)
			}
		})
	}
}

func TestMinus(t *testing.T) {
	t.Parallel()
	before := cost{cpu: time.Second, peak: 90, runs: 10, requests: map[string]int{"GET": 5, "PATCH": 7}}
	after := cost{cpu: 3 * time.Second, peak: 80, runs: 14, requests: map[string]int{"GET": 5, "PATCH": 9, "POST": 1}}
	want := cost{cpu: 2 * time.Second, peak: 80, runs: 4, requests: map[string]int{"PATCH": 2, "POST": 1}}
	got := after.minus(before)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(cost{})); diff != "" {
		t.Errorf("minus, -want +got:\n%s", diff)
	}
	if got.total() != 3 {
		t.Errorf("total = %d, want 3", got.total())
	}
	if after.requests["GET"] != 5 {
		t.Error("minus has changed what it was called on")
	}
}

func TestMeterCountsWhatComesInBetween(t *testing.T) {
	t.Parallel()
	answers := make(chan string, 3)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(<-answers))
	}))
	t.Cleanup(server.Close)
	const first = `rest_client_requests_total{method="GET"} 4
controller_runtime_reconcile_total{controller="a",result="success"} 2
`
	second := strings.NewReplacer(" 4", " 9", " 2", " 3").Replace(first)
	answers <- first // that it is there
	answers <- first
	answers <- second

	var m meter
	if err := m.add(t.Context(), program{name: "a", pid: os.Getpid(), metrics: server.URL, ended: make(chan struct{})}); err != nil {
		t.Fatal(err)
	}
	before, err := m.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	used, err := m.end(t.Context(), before)
	if err != nil {
		t.Fatal(err)
	}
	if len(used) != 1 || used[0].program != "a" || used[0].requests["GET"] != 5 || used[0].runs != 1 {
		t.Errorf("used = %+v, want 5 GET and 1 run of a", used)
	}
}

func TestMeterGivesUpOnAProgramThatHasEnded(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	close(ended)
	var m meter
	err := m.add(t.Context(), program{name: "a", metrics: "http://127.0.0.1:0/", ended: ended})
	if err == nil || !strings.Contains(err.Error(), "a has ended") {
		t.Errorf("add = %v, want that a has ended", err)
	}
}

func TestField(t *testing.T) {
	t.Parallel()
	text := []byte("processor\t: 0\nmodel name\t: Some: CPU @ 2 GHz\n\nmodel name\t: other\n")
	if got, want := field(text, "model name"), "Some: CPU @ 2 GHz"; got != want {
		t.Errorf("field = %q, want %q", got, want)
	}
	if got := field(text, "name"); got != "" {
		t.Errorf("field of a name that there is not = %q", got)
	}
}

func TestPauseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(os.ErrClosed)
	if err := pause(ctx, time.Hour); !errors.Is(err, os.ErrClosed) {
		t.Errorf("pause = %v, want the cause", err)
	}
}
