// Package speed_test measures the commands that people wait for, beside the least that the
// same can take: the requests alone, of which nobody reads the answers.
//
// `make bench-cli` measures with a thousand objects of each kind. Without flags, as in `make
// test`, there are few of them, and only requests are counted.
package speed_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"weir.dev/deploy/cli/internal/session"
	"weir.dev/deploy/cli/internal/verb"
	"weir.dev/deploy/internal/stack"
	"weir.dev/pkg/testplane"
)

// Flags have to be known before any test begins.
var (
	objects  = flag.Int("objects", 30, "number of objects of each kind")
	rounds   = flag.Int("rounds", 1, "how often each is measured")
	out      = flag.String("out", "", "file that the figures are written to")
	profiles = flag.String("profiles", "", "folder for a CPU profile of each verb")
)

// most bounds an answer of the API server, in bytes.
const most = 256 << 20

// plane is a control plane of the test's own.
type plane struct {
	*stack.Stack
	http  *http.Client
	cache string // of discovery
}

func newPlane(t *testing.T) *plane {
	t.Helper()
	all, err := stack.New(t.TempDir(), filepath.Join(testplane.Root(t), "bin"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := all.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := all.StartPlane(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := rest.HTTPClientFor(all.Config)
	if err != nil {
		t.Fatal(err)
	}
	return &plane{Stack: all, http: c, cache: t.TempDir()}
}

// do makes a request, and returns the answer.
func (p *plane) do(ctx context.Context, method, path, contentType string, data []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(p.Config.Host, "/")+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, body)
	}
	return body, err
}

// TestSpeed measures verbs on the same plane, one after the other.
func TestSpeed(t *testing.T) {
	debug.SetGCPercent(verb.GCPercent) // as the program does
	p := newPlane(t)
	if err := p.define(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("diff", func(t *testing.T) { testDiff(t, p) })
	t.Run("get all", func(t *testing.T) { testGetAll(t, p) })
}

// call is what a call of the command has led to.
type call struct {
	code      int
	out, said string
	requests  map[string]int // by method
}

// weir calls the command.
func (p *plane) weir(t *testing.T, args ...string) call {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := call{requests: make(map[string]int)}
	var mu sync.Mutex
	s := session.New(session.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr}, func(string) string { return "" })
	s.Wrap = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			c.requests[req.Method]++
			mu.Unlock()
			return next.RoundTrip(req)
		})
	}
	c.code = verb.Run(t.Context(), s, append([]string{"--kubeconfig", p.Kubeconfig, "--cache-dir", p.cache}, args...))
	c.out, c.said = stdout.String(), stderr.String()
	return c
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// spent is what something takes: time, and time of the CPU in this process, which other load
// of the machine adds little to.
type spent struct{ time, cpu time.Duration }

// measure does something some times, and returns what is in the middle.
func measure(t *testing.T, do func() error) spent {
	t.Helper()
	var times, cpus []time.Duration
	for range *rounds {
		began, used := time.Now(), cpu(t)
		if err := do(); err != nil {
			t.Fatal(err)
		}
		times, cpus = append(times, time.Since(began)), append(cpus, cpu(t)-used)
	}
	slices.Sort(times)
	slices.Sort(cpus)
	return spent{times[len(times)/2], cpus[len(cpus)/2]}
}

// cpu is what this process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// report writes what was measured.
func report(t *testing.T, title string, lines ...string) {
	t.Helper()
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("unknown")
	}
	text := fmt.Sprintf("%s\n\nmachine  %d cores, %s/%s, load %s (median of %d)\n\n%s\n\n",
		title, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, strings.TrimSpace(string(load)), *rounds, strings.Join(lines, "\n"))
	t.Log(text)
	if *out == "" {
		return
	}
	f, err := os.OpenFile(*out, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if closed := f.Close(); err != nil || closed != nil {
		t.Fatal(err, closed)
	}
}

func line(what string, s spent) string {
	return fmt.Sprintf("%-56s %8.3f s  %8.3f s of CPU", what, s.time.Seconds(), s.cpu.Seconds())
}
