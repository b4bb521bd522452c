// The source-controller fetches sources and publishes them as artifacts over HTTP.
package main

import (
	"weir.dev/pkg/daemon"
	"weir.dev/source-controller/internal/program"
)

func main() { daemon.Main("source-controller", program.Run) }
