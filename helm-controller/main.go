// The helm-controller releases charts: it installs and upgrades them, tests them, takes
// back what has failed, and undoes drift.
package main

import (
	"weir.dev/helm-controller/internal/program"
	"weir.dev/pkg/daemon"
)

func main() { daemon.Main("helm-controller", program.Run) }
