package daemon

// ElectionID returns the name of the lease.
func ElectionID(d *Daemon) string { return d.electionID() }
