package plane

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir.dev/deploy/localplane/internal/home"
	"weir.dev/deploy/localplane/internal/supervisor"
)

func TestStatusOfPlaneThatIsDown(t *testing.T) {
	tests := map[string]struct {
		state home.State
		want  string
	}{
		"never started": {want: "down\n"},
		"stopped":       {state: home.State{Phase: home.Stopped}, want: "down\n"},
		"killed":        {state: home.State{Phase: home.Ready}, want: "down\n"},
		"failed":        {state: home.State{Phase: home.Failed, Failure: "etcd ended"}, want: "down: etcd ended\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir := claimed(t)
			if err := dir.SetState(tc.state); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := Status(&out, string(dir)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, out.String()); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatusNamesWhatIsLeft(t *testing.T) {
	dir := claimed(t)
	if err := dir.SetState(home.State{Components: []home.Component{{Name: "etcd", PID: 7}}}); err != nil {
		t.Fatal(err)
	}
	left, err := home.Acquire(t.Context(), dir.Components(), home.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	defer left.Release()
	var out bytes.Buffer
	if err := Status(&out, string(dir)); err != nil || !strings.Contains(out.String(), "etcd had pid 7") {
		t.Errorf("status is %q, %v; want it to name the component that still runs", out.String(), err)
	}
}

func TestStatusOfPlaneThatIsUp(t *testing.T) {
	dir := claimed(t)
	state := home.State{Phase: home.Ready, Components: []home.Component{{Name: "etcd", PID: os.Getpid(), Restarts: 2}, {Name: "kwok"}}}
	var out bytes.Buffer
	if err := statusUp(&out, dir, state, os.Getpid()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"up\n", dir.Kubeconfig(), "MB resident", "restarted 2 times", "not running"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("status lacks %q:\n%s", want, out.String())
		}
	}
}

func TestRecord(t *testing.T) {
	dir := claimed(t)
	r := newRecord(dir, slog.New(slog.DiscardHandler), home.State{Phase: home.Starting})
	r.component(supervisor.Status{Name: "etcd", PID: 1})
	r.component(supervisor.Status{Name: "kwok", PID: 2})
	r.component(supervisor.Status{Name: "etcd", PID: 3, Restarts: 1})
	r.phase(home.Ready, "")
	want := home.State{Phase: home.Ready, Components: []home.Component{{Name: "etcd", PID: 3, Restarts: 1}, {Name: "kwok", PID: 2}}}
	got, err := dir.State()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func claimed(t *testing.T) home.Dir {
	t.Helper()
	dir, err := home.Claim(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
