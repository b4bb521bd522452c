package session_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// screen opens a terminal: what is typed at, and what the command has.
func screen(t *testing.T) (typist, tty *os.File) {
	t.Helper()
	typist, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals: %v", err)
	}
	t.Cleanup(func() { typist.Close() })
	const unlock, number = 0x40045431, 0x80045430 // TIOCSPTLCK, TIOCGPTN
	var n uint32
	control(t, typist, unlock, unsafe.Pointer(&n))
	control(t, typist, number, unsafe.Pointer(&n))
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no terminals: %v", err)
	}
	t.Cleanup(func() { tty.Close() })
	return typist, tty
}

func control(t *testing.T, f *os.File, what uintptr, with unsafe.Pointer) {
	t.Helper()
	if _, _, err := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), what, uintptr(with)); err != 0 {
		t.Fatal(err)
	}
}

// echoes reports whether a terminal shows what is typed.
func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	var state syscall.Termios
	control(t, tty, syscall.TCGETS, unsafe.Pointer(&state))
	return state.Lflag&syscall.ECHO != 0
}

// TestUnseen: a secret that is typed is not shown, and what is typed after it is, whether
// there was an answer or the call has ended.
func TestUnseen(t *testing.T) {
	t.Parallel()
	gone := errors.New("interrupt")
	for _, answered := range []bool{true, false} {
		typist, tty := screen(t)
		s, said := typing(tty, nil)
		if !s.Attended() {
			t.Fatal("nobody is said to sit there")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		type end struct {
			secret string
			err    error
		}
		ended := make(chan end, 1)
		go func() {
			secret, err := s.Secret(ctx, "", "TOKEN", "token")
			ended <- end{secret.Reveal(), err}
		}()
		dark(t, tty)
		want := end{secret: "s3cret"}
		if answered {
			if _, err := typist.WriteString("s3cret\n"); err != nil {
				t.Fatal(err)
			}
		} else {
			cancel(gone)
			want = end{err: gone}
		}
		got := <-ended
		if got.secret != want.secret || !errors.Is(got.err, want.err) {
			t.Errorf("answered %t: %q, %v", answered, got.secret, got.err)
		}
		if !echoes(t, tty) {
			t.Errorf("answered %t: the terminal is left dark", answered)
		}
		if strings.Contains(said.String(), "s3cret") {
			t.Errorf("the secret is told: %s", said)
		}
	}
}

// TestSilent: nobody is asked who has said that nobody is to be.
func TestSilent(t *testing.T) {
	t.Parallel()
	_, tty := screen(t)
	s, said := typing(tty, nil)
	s.Silent = true
	if _, err := s.Secret(t.Context(), "", "TOKEN", "token"); err == nil || !strings.Contains(err.Error(), "there is no token") || said.String() != "" {
		t.Errorf("%v, after %q", err, said)
	}
	if !echoes(t, tty) {
		t.Error("the terminal is left dark")
	}
}

// dark waits until a terminal shows nothing any more.
func dark(t *testing.T, tty *os.File) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); echoes(t, tty); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("the terminal shows what is typed")
		}
	}
}
