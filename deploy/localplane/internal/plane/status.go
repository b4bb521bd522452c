package plane

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"weir.dev/deploy/localplane/internal/home"
)

// Status tells on w whether the plane of path runs, and its processes.
func Status(w io.Writer, path string) error {
	dir, err := home.Find(path)
	if err != nil {
		return err
	}
	state, err := dir.State()
	if err != nil {
		return err
	}
	pid, err := home.Owner(dir.Supervisor())
	if err != nil {
		return err
	}
	if pid == 0 {
		return statusDown(w, dir, state)
	}
	return statusUp(w, dir, state, pid)
}

// statusDown tells about a plane without a supervisor.
func statusDown(w io.Writer, dir home.Dir, state home.State) error {
	text := string(home.Stopped)
	if state.Phase == home.Failed {
		text = "down: " + state.Failure
	}
	// Those of a supervisor that was killed may be on their way out.
	l, gone, err := home.Try(dir.Components(), home.Shared)
	if err != nil {
		return err
	}
	if gone {
		l.Release()
	} else {
		text = "down, but components are still running"
		for _, c := range state.Components {
			text += fmt.Sprintf("\n%s had pid %d", c.Name, c.PID)
		}
	}
	_, err = fmt.Fprintln(w, text)
	return err
}

// statusUp tells about a plane with a supervisor.
func statusUp(w io.Writer, dir home.Dir, state home.State, supervisor int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\n", state.Phase)
	fmt.Fprintf(t, "kubeconfig\t%s\n", dir.Kubeconfig())
	fmt.Fprintf(t, "started\t%s\n", state.Started.Format(time.RFC3339))
	if state.Idle > 0 {
		fmt.Fprintf(t, "stops\twhen unused for %s\n", state.Idle)
	}
	var total memory
	row := func(c home.Component) {
		if c.PID == 0 {
			fmt.Fprintf(t, "%s\tnot running, restarted %d times\n", c.Name, c.Restarts)
			return
		}
		m := memoryOf(c.PID)
		total.resident += m.resident
		total.share += m.share
		fmt.Fprintf(t, "%s\tpid %d\t%s\trestarted %d times\n", c.Name, c.PID, m, c.Restarts)
	}
	row(home.Component{Name: supervisorName, PID: supervisor})
	for _, c := range state.Components {
		row(c)
	}
	fmt.Fprintf(t, "total\t\t%s\n", total)
	return t.Flush()
}

// memory is what a process has in memory, in bytes. What it shares with others,
// as all components share the binary, is divided among them in share; that is zero
// where the system does not tell.
type memory struct{ resident, share int64 }

// String tells both.
func (m memory) String() string {
	if m.share == 0 {
		return fmt.Sprintf("%d MB resident", m.resident>>20)
	}
	return fmt.Sprintf("%d MB resident, %d MB with shared pages divided", m.resident>>20, m.share>>20)
}
