package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// tick is the unit of times in /proc: Linux has 100 a second on every platform.
	tick = time.Second / 100
	// mostMetrics bounds an answer with metrics, in bytes.
	mostMetrics = 16 << 20
	// metricsTimeout is how long a program may take until it answers with metrics.
	metricsTimeout = 30 * time.Second
)

// cost is what something used.
type cost struct {
	cpu      time.Duration
	peak     int64          // bytes resident at most; 0 if not measured
	requests map[string]int // to the API server, by method
	runs     int            // reconciliations
}

// total is the number of requests.
func (c cost) total() int {
	n := 0
	for _, count := range c.requests {
		n += count
	}
	return n
}

// minus is what was used since an earlier reading. The peak is that of the later one.
func (c cost) minus(before cost) cost {
	out := cost{cpu: c.cpu - before.cpu, peak: c.peak, requests: maps.Clone(c.requests), runs: c.runs - before.runs}
	for method, count := range before.requests {
		if out.requests[method] -= count; out.requests[method] == 0 {
			delete(out.requests, method)
		}
	}
	return out
}

// spent is what a program used.
type spent struct {
	program string
	cost
}

// program is a process that the meter looks at.
type program struct {
	name    string
	pid     int
	metrics string // URL of the server that has them, without a path
	ended   <-chan struct{}
}

// meter reads what programs use.
type meter struct{ programs []program }

// add waits for the metrics of a program and counts it in from then on.
func (m *meter) add(ctx context.Context, p program) error {
	ctx, cancel := context.WithTimeoutCause(ctx, metricsTimeout, fmt.Errorf("%s gave no metrics within %s", p.name, metricsTimeout))
	defer cancel()
	const again = 50 * time.Millisecond
	for {
		if _, err := p.scrape(ctx); err == nil {
			m.programs = append(m.programs, p)
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended", p.name)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(again):
		}
	}
}

// begin reads every program, and lets peaks of memory start anew. What it costs the
// programs to answer is not counted.
func (m *meter) begin(ctx context.Context) ([]cost, error) {
	all := make([]cost, len(m.programs))
	for i, p := range m.programs {
		c, err := p.scrape(ctx)
		if err == nil {
			err = resetPeak(p.pid)
		}
		if err == nil {
			c.cpu, _, err = usage(p.pid)
		}
		if err != nil {
			return nil, fmt.Errorf("measuring %s: %w", p.name, err)
		}
		all[i] = c
	}
	return all, nil
}

// end returns what every program has used since begin.
func (m *meter) end(ctx context.Context, before []cost) ([]spent, error) {
	all := make([]spent, len(m.programs))
	for i, p := range m.programs {
		cpu, peak, err := usage(p.pid)
		if err != nil {
			return nil, fmt.Errorf("measuring %s: %w", p.name, err)
		}
		now, err := p.scrape(ctx)
		if err != nil {
			return nil, fmt.Errorf("measuring %s: %w", p.name, err)
		}
		now.cpu, now.peak = cpu, peak
		all[i] = spent{program: p.name, cost: now.minus(before[i])}
	}
	return all, nil
}

// scrape reads from the metrics of a program what it asked of the API server, and how
// often it ran.
func (p program) scrape(ctx context.Context) (cost, error) {
	text, err := p.get(ctx, "/metrics")
	if err != nil {
		return cost{}, err
	}
	requests, err := sumBy(text, "rest_client_requests_total", "method")
	if err != nil {
		return cost{}, err
	}
	runs, err := sumBy(text, "controller_runtime_reconcile_total", "result")
	return cost{requests: requests, runs: cost{requests: runs}.total()}, err
}

// get returns what a program tells of itself.
func (p program) get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.metrics+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostMetrics))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", path, resp.Status)
	}
	return string(text), nil
}

// usage reads the CPU time and the peak of resident memory of a process from /proc.
func usage(pid int) (cpu time.Duration, peak int64, err error) {
	stat, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return 0, 0, err
	}
	status, err := os.ReadFile(procPath(pid, "status"))
	if err != nil {
		return 0, 0, err
	}
	cpu, err = cpuTime(string(stat))
	if err != nil {
		return 0, 0, err
	}
	peak, err = memoryOf(string(status), "VmHWM")
	return cpu, peak, err
}

// resetPeak lets the peak of resident memory of a process start anew. Where that is
// not allowed, peaks are those since the start of the program.
func resetPeak(pid int) error {
	const peak = "5"
	err := os.WriteFile(procPath(pid, "clear_refs"), []byte(peak), 0)
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
}

func procPath(pid int, file string) string { return "/proc/" + strconv.Itoa(pid) + "/" + file }

// cpuTime reads the user and system time of /proc/PID/stat. The name of the program,
// in parentheses, may have spaces and parentheses.
func cpuTime(stat string) (time.Duration, error) {
	const user, system = 11, 12 // after the name
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, errors.New("stat of a process has no name")
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) <= system {
		return 0, fmt.Errorf("stat of a process has only %d fields after the name", len(fields))
	}
	var ticks uint64
	for _, f := range []string{fields[user], fields[system]} {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat of a process: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// memoryOf reads an amount of memory of /proc/PID/status, in bytes: VmRSS is what is
// resident, VmHWM the peak of that.
func memoryOf(status, what string) (int64, error) {
	for line := range strings.Lines(status) {
		value, ok := strings.CutPrefix(line, what+":")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("status of a process: %w", err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("status of a process has no %s", what)
}

// sumBy adds up the values of a counter in the text of metrics, by one of its labels.
func sumBy(text, metric, label string) (map[string]int, error) {
	sums := map[string]int{}
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, metric+"{")
		if !ok {
			continue
		}
		labels, value, err := sample(rest)
		if err != nil {
			return nil, fmt.Errorf("metric %s: %w", metric, err)
		}
		sums[labels[label]] += value
	}
	return sums, nil
}

// sample reads the labels of a sample, after the brace, and its value.
func sample(rest string) (map[string]string, int, error) {
	labels := map[string]string{}
	for !strings.HasPrefix(rest, "}") {
		name, after, ok := strings.Cut(strings.TrimLeft(rest, ", "), "=")
		if !ok {
			return nil, 0, fmt.Errorf("no label in %q", rest)
		}
		quoted, err := strconv.QuotedPrefix(after)
		if err != nil {
			return nil, 0, fmt.Errorf("label %q: %w", name, err)
		}
		if labels[name], err = strconv.Unquote(quoted); err != nil {
			return nil, 0, fmt.Errorf("label %q: %w", name, err)
		}
		rest = after[len(quoted):]
	}
	fields := strings.Fields(rest[1:])
	if len(fields) == 0 {
		return nil, 0, errors.New("a sample has no value")
	}
	value, err := strconv.ParseFloat(fields[0], 64)
	return labels, int(value), err
}

// field returns the value of a line "name : value", as in /proc/cpuinfo; "" if there is
// none.
func field(text []byte, name string) string {
	for line := range bytes.Lines(text) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if ok && string(bytes.TrimSpace(key)) == name {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}
