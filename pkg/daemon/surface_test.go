package daemon_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// free returns two addresses that nobody listens at. The first is kept until there is the
// second, or they might be one.
func free(t *testing.T) (first, second string) {
	t.Helper()
	var addrs [2]string
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs[i] = l.Addr().String()
	}
	return addrs[0], addrs[1]
}

// TestProbesAndMetrics: Deployments, dashboards and people who look for what takes memory ask
// for these paths.
func TestProbesAndMetrics(t *testing.T) {
	t.Parallel()
	health, metrics := free(t)
	d := newDaemon(t, newAPI(t), "--health-addr="+health, "--metrics-addr="+metrics)
	if err := d.Parse(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Start ended with %v", err)
		}
	})
	d.Durations().RecordDuration(corev1.ObjectReference{Kind: "Lamp", Namespace: "house", Name: "hall"}, time.Now())
	const duration = `gotk_reconcile_duration_seconds_`
	const about = `{kind="Lamp",name="hall",namespace="house"`
	tests := map[string]struct {
		why  string
		url  string
		says []string
	}{
		"alive":    {"the kubelet restarts it otherwise", "http://" + health + "/healthz", []string{"ok"}},
		"ready":    {"a rollout waits for it", "http://" + health + "/readyz", []string{"ok"}},
		"profiles": {"it tells what holds memory", "http://" + metrics + "/debug/pprof/", []string{"goroutine", "heap"}},
		"metrics": {"dashboards read them", "http://" + metrics + "/metrics", []string{
			duration + "bucket" + about + `,le="0.01"}`, duration + "bucket" + about + `,le="1799.99`, duration + "count" + about + "}", "go_goroutines", "rest_client_requests_total",
		}},
	}
	for name, tc := range tests {
		var body string
		for end := time.Now().Add(time.Minute); ; {
			var err error
			if body, err = page(ctx, tc.url); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %v (%s)", name, err, tc.why)
			}
			<-time.After(20 * time.Millisecond)
		}
		for _, part := range tc.says {
			if !strings.Contains(body, part) {
				t.Errorf("%s: %s does not say %q (%s)", name, tc.url, part, tc.why)
			}
		}
	}
}

// page returns what is at a URL.
func page(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return string(body), err
}
