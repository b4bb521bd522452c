package plane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"weir.dev/deploy/localplane/internal/home"
)

// Down stops the plane of path and waits until all of it is gone; with remove it
// removes the folder, too. A plane that does not run, or does not exist, is fine.
func Down(ctx context.Context, path string, remove bool, progress io.Writer) error {
	dir, err := home.Find(path)
	if errors.Is(err, home.ErrAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	turn, err := home.Acquire(ctx, dir.Turn(), home.Exclusive)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another down has removed it
	}
	if err != nil {
		return fmt.Errorf("waiting for another up or down on %q: %w", string(dir), err)
	}
	defer turn.Release()
	if err := stopSupervisor(ctx, dir, progress); err != nil {
		return err
	}
	if err := awaitComponents(ctx, dir); err != nil {
		return err
	}
	if !remove {
		return nil
	}
	if err := os.RemoveAll(string(dir)); err != nil {
		return fmt.Errorf("removing the data of the plane: %w", err)
	}
	return nil
}

// stopSupervisor asks the supervisor to stop, and kills it if it does not.
func stopSupervisor(ctx context.Context, dir home.Dir, progress io.Writer) error {
	asked, err := signalOwner(dir, syscall.SIGTERM)
	if err != nil || !asked {
		return err
	}
	say(progress, "stopping the plane of %s", dir)
	graceful, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	for {
		pid, err := home.Owner(dir.Supervisor())
		if err != nil || pid == 0 {
			return err
		}
		if pause(graceful) != nil {
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("waiting for the plane to stop: %w", err)
	}
	say(progress, "it did not stop within %s; killing it", stopTimeout)
	_, err = signalOwner(dir, syscall.SIGKILL)
	return err
}

// signalOwner signals the supervisor if there is one. The process is looked up
// before the system is asked a second time whose the lock is: a handle to a process
// stays with it, where the system has such, when its id goes to another one.
func signalOwner(dir home.Dir, sig os.Signal) (bool, error) {
	pid, err := home.Owner(dir.Supervisor())
	if err != nil || pid == 0 {
		return false, err
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return false, fmt.Errorf("finding the supervisor: %w", err)
	}
	again, err := home.Owner(dir.Supervisor())
	if err == nil && again == pid {
		err = process.Signal(sig)
	}
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	if err := errors.Join(err, process.Release()); err != nil {
		return false, fmt.Errorf("signalling the supervisor: %w", err)
	}
	return true, nil
}

// awaitComponents waits until no component is left.
func awaitComponents(ctx context.Context, dir home.Dir) error {
	ctx, cancel := context.WithTimeoutCause(ctx, killTimeout, fmt.Errorf("components are still running; `localplane status --dir %s` names them", dir))
	defer cancel()
	l, err := home.Acquire(ctx, dir.Components(), home.Exclusive)
	if err != nil {
		return err
	}
	l.Release()
	return nil
}
