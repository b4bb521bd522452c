package render

import (
	"slices"

	kustomizev1 "weir.dev/api/kustomize/v1"
	"weir.dev/pkg/build"
	"weir.dev/pkg/buildspec"
)

// From builds a Kustomization from a source, with what kustomize is asked to note on the
// objects as well, such as originAnnotations.
func From(src build.Source, ks *kustomizev1.Kustomization, opts Options, notes ...string) (build.Result, error) {
	spec := buildspec.Of(ks)
	spec.Substitute = buildspec.Substitution(ks, opts.Variables, opts.Strict)
	for _, note := range notes {
		if !slices.Contains(spec.BuildMetadata, note) {
			spec.BuildMetadata = append(spec.BuildMetadata, note)
		}
	}
	return build.Run(src, spec, concealer{})
}
