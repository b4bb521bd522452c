// Package plane starts, supervises and stops a control plane whose data is in one
// folder.
//
// Up launches a supervisor process and leaves when the plane can be used. The
// supervisor owns the components: it restarts one that ends, and they end with it,
// however it does. All that it takes to start again is in the folder, so a kill
// loses nothing but the processes.
//
// Who may do what is settled by locks in the folder, see the package home: one Up
// or Down at a time; one supervisor; no new components before the old ones are
// gone; no stop for idleness while anybody uses the plane.
package plane

import (
	"errors"
	"fmt"
	"time"
)

// SuperviseVerb is the verb by which Up starts the supervisor: this binary again.
const SuperviseVerb = "supervise"

const (
	readyTimeout = 3 * time.Minute  // from launch to use, on a busy machine
	stopTimeout  = time.Minute      // for the supervisor to stop all
	killTimeout  = 15 * time.Second // for components to end that have nobody any more
	poll         = 25 * time.Millisecond
)

// Options are what Up is asked for.
type Options struct {
	Dir   string        // the folder of the plane; made if it does not exist
	Nodes int           // simulated nodes to have at least
	Idle  time.Duration // stop when nobody has used the plane for so long; 0 means never
	Fsync bool          // have etcd wait for the disk
}

// Validate tells what is wrong with the options.
func (o Options) Validate() error {
	switch {
	case o.Dir == "":
		return errors.New("--dir is missing: name a folder for the data of the plane")
	case o.Nodes < 0 || o.Nodes > maxNodes:
		return fmt.Errorf("--nodes is %d: it must be between 0 and %d", o.Nodes, maxNodes)
	case o.Idle < 0:
		return fmt.Errorf("--idle is %s: it must not be negative", o.Idle)
	}
	return nil
}
