package tryout

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"weir.dev/deploy/internal/stack"
)

const (
	// logFile has what the process in the background says.
	logFile = "up.log"
	// ReportTo is the file by which a process in the background tells who has started it
	// what is done, a line a step.
	ReportTo = 3
	// everything is the last line: it works.
	everything = "everything works"

	maxTail = 4 << 10 // bytes of the log that an error tells
)

// Background has a program run a folder in the background, by arguments that make it Start
// and Report. It returns when everything works. The process goes on, whatever becomes of
// this one, until Down.
func Background(ctx context.Context, dir, program string, args []string, tell func(done string)) error {
	if err := Prepare(dir); err != nil {
		return err
	}
	said, err := os.Create(filepath.Join(dir, logFile))
	if err != nil {
		return err
	}
	defer said.Close()
	heard, report, err := os.Pipe()
	if err != nil {
		return err
	}
	defer heard.Close()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, args...)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.ExtraFiles = []*os.File{report} // becomes ReportTo
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	report.Close()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) }) // then its reports end
	defer stop()
	for lines := bufio.NewScanner(heard); lines.Scan(); tell(lines.Text()) {
		if lines.Text() == everything {
			return cmd.Process.Release()
		}
	}
	_ = cmd.Wait() // how it ended is in its state
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("the process in the background has ended, %s: %s", cmd.ProcessState, tail(said.Name()))
}

// Report returns what tells who has started this process, and what tells that everything
// works, after which nobody listens.
func Report() (tell func(done string), works func() error) {
	syscall.CloseOnExec(ReportTo) // no program of ours is to keep it open
	to := os.NewFile(ReportTo, "report")
	tell = func(done string) { fmt.Fprintln(to, done) } // who listens no more does not miss it
	return tell, func() error {
		tell(everything)
		return to.Close()
	}
}

// tail returns the end of a file in one line.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxTail {
		_, _ = f.Seek(-maxTail, io.SeekEnd) // else there is more of it
	}
	data, _ := io.ReadAll(io.LimitReader(f, maxTail)) // as far as it goes
	return strings.Join(strings.Fields(string(data)), " ")
}

// Down ends what runs in a folder, and reports whether anything did. If that is asked for,
// the folder goes, with everything that the cluster holds. A folder of something else is
// refused.
func Down(ctx context.Context, dir, bin string, remove bool) (ran bool, err error) {
	switch _, err := os.Stat(filepath.Join(dir, claimFile)); {
	case errors.Is(err, os.ErrNotExist):
		return false, refuseForeign(dir)
	case err != nil:
		return false, err
	}
	for {
		busy := Look(dir)
		if busy == nil {
			break
		}
		ran = true
		if err := busy.end(ctx); err != nil {
			return ran, err
		}
	}
	c, err := take(dir)
	if err != nil {
		return ran, err
	}
	s, err := stack.New(dir, bin)
	if err != nil {
		return ran, errors.Join(err, c.release())
	}
	ran = ran || s.PlaneRuns(ctx) // its process was killed
	if remove {
		err = s.Clear(ctx)
	} else {
		err = s.Stop()
	}
	return ran, errors.Join(err, c.release())
}

// refuseForeign refuses a folder that is there, and not ours.
func refuseForeign(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%q: %w", dir, ErrForeign)
}
