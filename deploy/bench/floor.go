package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
)

const (
	// parallel is how many requests of our own are under way at a time.
	parallel = 16
	// mostAnswer bounds an answer of the API server, in bytes.
	mostAnswer = 16 << 20
)

// floor applies objects with as little effort as that can be done: one request each,
// already encoded, whose answers nobody decodes.
type floor struct {
	host     string
	http     *http.Client
	requests atomic.Int64
}

// bound is what the floor takes for the same work.
type bound struct {
	took time.Duration
	cost
}

func newFloor(cfg *rest.Config) (*floor, error) {
	c, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	return &floor{host: strings.TrimSuffix(cfg.Host, "/"), http: c}, nil
}

// apply applies objects, many at a time, and returns what that took.
func (f *floor) apply(ctx context.Context, objects []object) (bound, error) {
	return f.each(ctx, len(objects), http.MethodPatch, func(ctx context.Context, i int) error {
		return f.applyOne(ctx, objects[i])
	})
}

// each makes n requests of one method, many at a time, and returns what that took.
func (f *floor) each(ctx context.Context, n int, method string, do func(context.Context, int) error) (bound, error) {
	before, asked, began := ownCPU(), f.requests.Load(), time.Now()
	err := inParallel(ctx, n, do)
	b := bound{took: time.Since(began)}
	b.cpu = ownCPU() - before
	b.requests = map[string]int{method: int(f.requests.Load() - asked)}
	return b, err
}

func (f *floor) applyOne(ctx context.Context, o object) error {
	_, err := f.do(ctx, http.MethodPatch, o.path+"?fieldManager=floor&force=true", o.data)
	return err
}

func (f *floor) get(ctx context.Context, path string) ([]byte, error) {
	return f.do(ctx, http.MethodGet, path, nil)
}

func (f *floor) do(ctx context.Context, method, path string, data []byte) ([]byte, error) {
	return f.send(ctx, method, path, "application/apply-patch+yaml", data)
}

// send sends data of some type, and returns the answer.
func (f *floor) send(ctx context.Context, method, path, contentType string, data []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.host+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if data != nil {
		req.Header.Set("Content-Type", contentType)
	}
	f.requests.Add(1)
	resp, err := f.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, body)
	}
	return body, nil
}

// ownCPU is what this process has used. It cannot fail where the meter works.
func ownCPU() time.Duration {
	cpu, _, err := usage(os.Getpid())
	if err != nil {
		return 0
	}
	return cpu
}

// inParallel does n things, some at a time, until one fails.
func inParallel(ctx context.Context, n int, do func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workqueue.ParallelizeUntil(ctx, parallel, n, func(i int) {
		if err := do(ctx, i); err != nil {
			cancel(err)
		}
	})
	return context.Cause(ctx)
}
