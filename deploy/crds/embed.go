// Package crds has the definitions of all custom resources of weir. They are generated
// from the types in weir.dev/api.
package crds

import "embed"

// FS holds one YAML file for each definition, named <group>_<plural>.yaml, at its root.
//
//go:embed *.yaml
var FS embed.FS
