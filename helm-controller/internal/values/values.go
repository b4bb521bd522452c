package values

import (
	"context"

	"helm.sh/helm/v3/pkg/strvals"

	"weir.dev/pkg/helmvalues"
)

// Errors of Compose.
var (
	ErrNoKey    = helmvalues.ErrNoKey
	ErrNoMap    = helmvalues.ErrNoMap
	ErrPath     = helmvalues.ErrPath
	ErrKind     = helmvalues.ErrKind
	ErrTooLarge = helmvalues.ErrTooLarge
)

// Spec is what a HelmRelease says about its values.
type Spec = helmvalues.Spec

// Reader reads objects.
type Reader = helmvalues.Reader

// Compose puts together the values of a release; see helmvalues.Compose.
func Compose(ctx context.Context, spec Spec, read Reader) (map[string]any, error) {
	return helmvalues.Compose(ctx, spec, read, helmvalues.Setter{Typed: strvals.ParseInto, Text: strvals.ParseIntoString})
}
