package plane

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"weir.dev/deploy/localplane/internal/home"
)

func TestObituary(t *testing.T) {
	tests := map[string]struct {
		why   string
		state home.State
		log   string
		want  string
	}{
		"gives the reason of the supervisor": {
			why:   "it knows which component it was",
			state: home.State{Phase: home.Failed, Failure: "etcd ended 3 times"}, want: "etcd ended 3 times",
		},
		"tells of a stop": {
			why: "somebody signalled it", state: home.State{Phase: home.Stopped}, want: "told to stop",
		},
		"gives its last words": {
			why: "it could not tell more", state: home.State{Phase: home.Starting}, log: "out of disk", want: "out of disk",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir := claimed(t)
			if err := dir.SetState(tc.state); err != nil {
				t.Fatal(err)
			}
			if err := home.Write(dir.Log(supervisorName), []byte(tc.log)); err != nil {
				t.Fatal(err)
			}
			u := &upper{dir: dir, progress: io.Discard}
			if got := u.obituary(errors.New("exit status 1")); got == nil || !strings.Contains(got.Error(), tc.want) {
				t.Errorf("obituary() = %v, want %q in it (%s)", got, tc.want, tc.why)
			}
		})
	}
}

// One up works at a time. Who waits for another that deletes the folder makes it
// anew.
func TestTurn(t *testing.T) {
	path := t.TempDir()
	dir, turn, err := takeTurn(t.Context(), path, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*poll)
	defer cancel()
	if _, _, err := takeTurn(ctx, path, io.Discard); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("takeTurn() = %v while another up worked; want it to wait", err)
	}
	if err := os.RemoveAll(string(dir)); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(2*poll, turn.Release)
	_, second, err := takeTurn(t.Context(), path, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	second.Release()
}
