package soak_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir.dev/deploy/internal/stack"
)

const (
	// again is when a controller that ended by itself is started again.
	again = 300 * time.Millisecond
	// mostMetrics bounds an answer with metrics, in bytes.
	mostMetrics = 16 << 20
	// metricsTimeout bounds the time until there is one.
	metricsTimeout = 10 * time.Second
)

// keeper keeps a controller running, as a node does.
type keeper struct {
	name    string
	metrics string // URL
	start   func(context.Context) (*stack.Program, error)

	kills    chan time.Duration // how long it is to be away
	stopping chan struct{}
	stopped  chan struct{}

	mu    sync.Mutex
	ended []time.Time // by itself
	fault error
}

// run starts the controller again and again until it is told to stop.
func (k *keeper) run(ctx context.Context) {
	defer close(k.stopped)
	for {
		p, err := k.start(ctx)
		if err != nil {
			k.note(err)
			return
		}
		away := again
		select {
		case <-k.stopping:
			if err := p.Stop(); err != nil {
				k.note(err)
			}
			return
		case <-p.Ended():
			k.note(nil)
		case away = <-k.kills:
			if err := p.Kill(); err != nil {
				k.note(err)
			}
		}
		select {
		case <-k.stopping:
			return
		case <-time.After(away):
		}
	}
}

// note keeps that the controller ended by itself, or why it cannot be kept.
func (k *keeper) note(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.ended = append(k.ended, time.Now())
	}
	k.fault = errors.Join(k.fault, err)
}

// ends tells when the controller ended by itself.
func (k *keeper) ends() []time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ended
}

// kill kills the controller, unless it is away, and lets it come back after a while.
func (k *keeper) kill(away time.Duration) {
	select {
	case k.kills <- away:
	case <-time.After(again): // it is away
	}
}

// figures returns the values of what the controller measures, without labels added up
// over these.
func (k *keeper) figures(ctx context.Context) (map[string]float64, error) {
	k.mu.Lock()
	fault := k.fault
	k.mu.Unlock()
	if fault != nil {
		return nil, fault
	}
	ctx, cancel := context.WithTimeout(ctx, metricsTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.metrics, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostMetrics))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics of %s: %s", k.name, resp.Status)
	}
	sums := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		end := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || end < 0 {
			continue
		}
		name, _, _ := strings.Cut(line[:end], "{")
		value, err := strconv.ParseFloat(strings.TrimSpace(line[end:]), 64)
		if err != nil {
			return nil, fmt.Errorf("metrics of %s: %q: %w", k.name, line, err)
		}
		sums[name] += value
	}
	return sums, nil
}
