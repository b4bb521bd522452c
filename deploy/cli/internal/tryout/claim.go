package tryout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const (
	// claimFile is what makes a folder one of ours. Who runs it has it locked, and writes
	// into it when everything works.
	claimFile = ".weir-up"
	working   = "working\n"

	// lookEvery is the time between two looks whether a process has ended.
	lookEvery = 50 * time.Millisecond
)

// ErrForeign says that a folder holds something else.
var ErrForeign = errors.New("it holds something else; name an empty folder, or one that does not exist yet")

// BusyError says that a process runs the folder already.
type BusyError struct {
	Dir     string
	PID     int
	Working bool // or it is still about to start everything
}

// Error names the process.
func (e *BusyError) Error() string { return fmt.Sprintf("process %d runs %s", e.PID, e.Dir) }

// claim is held by the process that runs a folder, until it ends however it does.
type claim struct{ file *os.File }

// Prepare makes the folder, if there is none. One that holds something else is refused.
func Prepare(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == claimFile }) {
		return fmt.Errorf("%q: %w", dir, ErrForeign)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := open(dir)
	if err != nil {
		return err
	}
	return f.Close()
}

func open(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, claimFile), os.O_CREATE|os.O_RDWR, 0o600)
}

// take claims a folder for this process. The kernel knows who holds a claim, so none is
// left behind by a process that was killed. In a process that has taken one, nothing else
// may open the file: closing it ends the claim.
func take(dir string) (*claim, error) {
	if err := Prepare(dir); err != nil {
		return nil, err
	}
	f, err := open(dir)
	if err != nil {
		return nil, err
	}
	lock := exclusive()
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock); err != nil {
		f.Close()
		if busy := Look(dir); busy != nil {
			return nil, busy
		}
		return nil, fmt.Errorf("claiming %q: %w", dir, err)
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, err
	}
	return &claim{file: f}, nil
}

// exclusive describes a lock of a whole file.
func exclusive() syscall.Flock_t {
	return syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
}

// ready tells others that everything works.
func (c *claim) ready() error {
	_, err := c.file.WriteAt([]byte(working), 0)
	return err
}

// release ends the claim.
func (c *claim) release() error { return errors.Join(c.file.Truncate(0), c.file.Close()) }

// Look returns who runs a folder; nil if nobody does.
func Look(dir string) *BusyError {
	f, err := os.Open(filepath.Join(dir, claimFile))
	if err != nil {
		return nil
	}
	defer f.Close()
	lock := exclusive()
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil || lock.Type == syscall.F_UNLCK {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(f, int64(len(working)))) // what cannot be read is not working yet
	return &BusyError{Dir: dir, PID: int(lock.Pid), Working: string(text) == working}
}

// end asks the process that runs a folder to end, and waits until it has.
func (e *BusyError) end(ctx context.Context) error {
	if e.PID <= 1 { // which kill takes for this one's group, or for everybody
		return fmt.Errorf("%s is run by a process that cannot be seen from here: end it where it was started", e.Dir)
	}
	if err := syscall.Kill(e.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("asking process %d to end: %w", e.PID, err)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if now := Look(e.Dir); now == nil || now.PID != e.PID {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for process %d to end: %w", e.PID, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
