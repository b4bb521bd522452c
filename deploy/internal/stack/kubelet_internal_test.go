package stack

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestNextPause(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		why       string
		last, ran time.Duration
		want      time.Duration
	}{
		"the first end":         {why: "it may be the only one", ran: time.Second, want: restartPause},
		"again":                 {why: "what ends at once is not to keep the machine busy", last: restartPause, ran: time.Second, want: 2 * restartPause},
		"again and again":       {why: "it may be well by then, and somebody waits", last: restartPauseMax, want: restartPauseMax},
		"after a day's work":    {why: "an end now and then is nothing to wait for", last: restartPauseMax, ran: 24 * time.Hour, want: restartPause},
		"never long, for hours": {why: "it runs no better than before", last: 8 * restartPause, ran: restartForget - 1, want: 16 * restartPause},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := nextPause(tc.last, tc.ran); got != tc.want {
				t.Errorf("nextPause(%s, %s) = %s, want %s: %s", tc.last, tc.ran, got, tc.want, tc.why)
			}
		})
	}
}

func TestMoved(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ why, in, want string }{
		"the folder":    {why: "it is what is elsewhere", in: "/tmp", want: "/pods/a/tmp"},
		"below it":      {why: "it goes with the folder", in: "/tmp/.sigstore/tuf", want: "/pods/a/tmp/.sigstore/tuf"},
		"another one":   {why: "its name only begins the same", in: "/tmpfs/x", want: "/tmpfs/x"},
		"in the middle": {why: "it is another folder", in: "/var/tmp/x", want: "/var/tmp/x"},
		"in a text":     {why: "it is no path", in: "https://example.com/tmp/x", want: "https://example.com/tmp/x"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := moved(tc.in, "/tmp", "/pods/a/tmp"); got != tc.want {
				t.Errorf("moved(%q) = %q, want %q: %s", tc.in, got, tc.want, tc.why)
			}
		})
	}
}

// brief is an API server whose watches end at once, as through a proxy.
type brief struct {
	client.WithWatch
	lists int
}

func (b *brief) List(context.Context, client.ObjectList, ...client.ListOption) error {
	b.lists++
	return nil
}

func (b *brief) Watch(context.Context, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
	return watch.NewEmptyWatch(), nil
}

// TestWatchesThatEndAtOnce are begun anew, and not without a pause.
func TestWatchesThatEndAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &brief{}
		k := &Kubelet{stack: &Stack{Client: server}, log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithTimeout(t.Context(), 10*restartPause)
		defer cancel()
		k.run(ctx)
		if server.lists < 9 || server.lists > 11 {
			t.Errorf("within ten pauses, Deployments were listed %d times", server.lists)
		}
	})
}
