// The kustomize-controller builds what sources publish, applies it, prunes what has
// left, and undoes drift.
package main

import (
	"weir.dev/kustomize-controller/internal/program"
	"weir.dev/pkg/daemon"
)

func main() { daemon.Main("kustomize-controller", program.Run) }
