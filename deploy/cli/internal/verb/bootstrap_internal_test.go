package verb

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir.dev/deploy/cli/internal/bootstrap"
	"weir.dev/deploy/cli/internal/session"
)

// TestSettle: a run that people can help on is made again when they have, and has the whole
// time then.
func TestSettle(t *testing.T) {
	t.Parallel()
	managed := &bootstrap.Refusal{Reason: bootstrap.ManagedByOther, Why: "managed by Helm"}
	unknown := &bootstrap.Refusal{Reason: bootstrap.KeyUnknown, Why: "the key is ssh-ed25519 AAAA", Next: "give it access"}
	other := &bootstrap.Refusal{Reason: bootstrap.OtherPath, Why: "another path"}
	tests := map[string]struct {
		why      string
		ends     []error // of the runs
		ask      bool
		typed    string
		err      error
		accepted []bootstrap.Reason
		says     []string
	}{
		"nothing to ask":      {why: "most runs are like that", ends: []error{nil}, ask: true},
		"taken over":          {why: "somebody says so", ends: []error{managed, nil}, ask: true, typed: "y\n", accepted: []bootstrap.Reason{bootstrap.ManagedByOther}, says: []string{"managed by Helm", "Take it over?"}},
		"not taken over":      {why: "somebody says no", ends: []error{managed}, ask: true, typed: "n\n", err: managed},
		"given access":        {why: "people do that", ends: []error{unknown, unknown, nil}, ask: true, typed: "y\ny\n", says: []string{"ssh-ed25519 AAAA", "Has this key been given access"}},
		"not given access":    {why: "people do not", ends: []error{unknown}, ask: true, typed: "n\n", err: unknown},
		"both":                {why: "one after the other", ends: []error{managed, unknown, nil}, ask: true, typed: "y\ny\n", accepted: []bootstrap.Reason{bootstrap.ManagedByOther}},
		"nobody answers":      {why: "it says what to do", ends: []error{unknown}, ask: true, err: session.ErrNoAnswer},
		"nobody can be asked": {why: "a pipeline has no hands", ends: []error{managed}, err: managed},
		"another refusal":     {why: "nobody can say yes to that", ends: []error{other}, ask: true, typed: "y\n", err: other},
	}
	for name, tc := range tests {
		var said strings.Builder
		s := session.New(session.Streams{In: strings.NewReader(tc.typed), Err: &said}, func(string) string { return "" })
		s.Timeout = time.Hour
		b := &bootstrapper{Session: s}
		accepted := map[bootstrap.Reason]bool{}
		var until []time.Time
		_, err := b.settle(t.Context(), func(ctx context.Context) (bootstrap.Result, error) {
			deadline, _ := ctx.Deadline()
			until = append(until, deadline)
			return bootstrap.Result{}, tc.ends[len(until)-1]
		}, tc.ask, accepted)
		if !errors.Is(err, tc.err) || len(until) != len(tc.ends) {
			t.Errorf("%s: %d runs, %v; want %d, %v (%s)", name, len(until), err, len(tc.ends), tc.err, tc.why)
		}
		for i := range until[1:] {
			if !until[i+1].After(until[i]) {
				t.Errorf("%s: run %d has no time of its own: %v", name, i+2, until)
			}
		}
		var reasons []bootstrap.Reason
		for r, yes := range accepted {
			if yes {
				reasons = append(reasons, r)
			}
		}
		if diff := cmp.Diff(tc.accepted, reasons); diff != "" {
			t.Errorf("%s: accepted (-want +got):\n%s", name, diff)
		}
		for _, want := range tc.says {
			if !strings.Contains(said.String(), want) {
				t.Errorf("%s: it does not say %q:\n%s", name, want, &said)
			}
		}
	}
}
