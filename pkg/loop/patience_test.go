package loop

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestOpenWait(t *testing.T) {
	t.Parallel()
	type look struct {
		after   time.Duration // since the beginning
		verdict Verdict
		want    time.Duration
	}
	tests := map[string]struct {
		why      string
		patience time.Duration
		looks    []look
	}{
		"no patience":  {why: "a kind may want all to be told", looks: []look{{verdict: Progressing}, {verdict: Waiting}}},
		"a decision":   {why: "it is told at once", patience: time.Second, looks: []look{{verdict: Succeeded}, {verdict: Failed}, {verdict: Stalled}}},
		"a short wait": {patience: time.Second, looks: []look{{verdict: Waiting, want: time.Second}, {after: 900 * time.Millisecond, verdict: Succeeded}}},
		"a long wait": {
			why: "looks in between do not prolong it", patience: time.Second,
			looks: []look{
				{verdict: Progressing, want: time.Second}, {after: 600 * time.Millisecond, verdict: Progressing, want: 400 * time.Millisecond},
				{after: time.Second, verdict: Progressing},
			},
		},
		"waits one after the other": {
			why: "the user waits for their sum", patience: time.Second,
			looks: []look{{verdict: Waiting, want: time.Second}, {after: 300 * time.Millisecond, verdict: Progressing, want: 700 * time.Millisecond}},
		},
		"a wait after a decision": {
			why: "is a new one", patience: time.Second,
			looks: []look{{verdict: Waiting, want: time.Second}, {after: 800 * time.Millisecond, verdict: Succeeded}, {after: 900 * time.Millisecond, verdict: Waiting, want: time.Second}},
		},
	}
	start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range tests {
		var o open
		key := types.NamespacedName{Namespace: "a", Name: "b"}
		for i, l := range tc.looks {
			if got := o.wait(key, Outcome{Verdict: l.verdict}, tc.patience, start.Add(l.after)); got != l.want {
				t.Errorf("%s: look %d, which is %s: %s are left; want %s (%s)", name, i, l.verdict, got, l.want, tc.why)
			}
		}
	}
}

func TestSooner(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ a, b, want time.Duration }{
		"both":    {a: 2, b: 1, want: 1},
		"neither": {},
		"one":     {a: 2, want: 2},
		"other":   {b: 1, want: 1},
	}
	for name, tc := range tests {
		if got := sooner(tc.a, tc.b); got != tc.want {
			t.Errorf("%s: %d; want %d", name, got, tc.want)
		}
	}
}
