package home_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"weir.dev/deploy/localplane/internal/home"
)

func TestLockModes(t *testing.T) {
	tests := map[string]struct {
		held, wanted home.Mode
		want         bool
	}{
		"one works at a time":            {held: home.Exclusive, wanted: home.Exclusive},
		"many use it":                    {held: home.Shared, wanted: home.Shared, want: true},
		"nobody stops what is used":      {held: home.Shared, wanted: home.Exclusive},
		"nobody uses what is being left": {held: home.Exclusive, wanted: home.Shared},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			held := try(t, path, tc.held)
			got, ok, err := home.Try(path, tc.wanted)
			if err != nil || ok != tc.want {
				t.Fatalf("Try(%s) while %s = %t, %v; want %t", tc.wanted, tc.held, ok, err, tc.want)
			}
			if ok {
				got.Release()
			}
			held.Release()
			try(t, path, tc.wanted).Release()
		})
	}
}

func TestAcquireWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held := try(t, path, home.Exclusive)
	time.AfterFunc(50*time.Millisecond, held.Release)
	l, err := home.Acquire(t.Context(), path, home.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()

	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := home.Acquire(ctx, path, home.Exclusive); !errors.Is(err, why) {
		t.Errorf("Acquire() = %v after the context ended; want its cause", err)
	}
}

// A folder that is removed while somebody waits for its lock leaves a lock on
// nothing.
func TestLockOfRemovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held := try(t, path, home.Exclusive)
	defer held.Release()
	remove(t, path)
	try(t, path, home.Exclusive).Release() // of a new file
}

func TestOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "owned")
	wantOwner(t, path, 0)
	owner := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOwnerProcess$", "--", path)
	in, err := owner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("waiting for the owner: %v", err)
	}
	wantOwner(t, path, owner.Process.Pid)
	if _, ok, err := home.Own(path); ok || err != nil {
		t.Errorf("Own() = %t, %v while another process owns it", ok, err)
	}
	if err := errors.Join(in.Close(), owner.Wait()); err != nil {
		t.Fatal(err)
	}
	wantOwner(t, path, 0)
}

// TestOwnerProcess is the process that TestOwner starts.
func TestOwnerProcess(t *testing.T) {
	if flag.NArg() != 1 {
		t.Skip("this is a part of TestOwner")
	}
	l, ok, err := home.Own(flag.Arg(0))
	if !ok || err != nil {
		t.Fatalf("Own() = %t, %v", ok, err)
	}
	defer l.Release()
	fmt.Println("owned")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Fatal(err)
	}
}

func wantOwner(t *testing.T, path string, want int) {
	t.Helper()
	if got, err := home.Owner(path); err != nil || got != want {
		t.Errorf("Owner() = %d, %v; want %d", got, err, want)
	}
}

func try(t *testing.T, path string, mode home.Mode) *home.Lock {
	t.Helper()
	l, ok, err := home.Try(path, mode)
	if err != nil || !ok {
		t.Fatalf("Try(%s) = %t, %v; want a lock", mode, ok, err)
	}
	return l
}
