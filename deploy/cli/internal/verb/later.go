//go:build later

package verb

import (
	_ "github.com/fluxcd/pkg/envsubst"
	_ "github.com/google/go-containerregistry/pkg/registry"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/schollz/progressbar/v3"
	_ "golang.org/x/tools/txtar"
	_ "helm.sh/helm/v3/pkg/release"
	_ "weir.dev/pkg/apply"
	_ "weir.dev/pkg/artifact/archive"
	_ "weir.dev/pkg/build"
	_ "weir.dev/pkg/decrypt"
	_ "weir.dev/pkg/git"
	_ "weir.dev/pkg/oci"
)
