// The image-controller scans registries for tags, selects the latest by policies, and
// writes them back to Git.
package main

import (
	"weir.dev/image-controller/internal/program"
	"weir.dev/pkg/daemon"
)

func main() { daemon.Main("image-controller", program.Run) }
