package v1_test

import (
	"testing"

	"weir.dev/api/internal/crdtest"
	sourcev1 "weir.dev/api/source/v1"
)

func TestExternalArtifactDefaults(t *testing.T) {
	checkDefaults(t, sourcev1.ExternalArtifactKind, map[string]defaults{
		"fills in nothing": {
			why:  "there is no generation that anybody observes",
			in:   `{spec: {}}`,
			want: `{spec: {}}`,
		},
		"needs no spec": {
			why:  "the source is told for information only",
			in:   `{}`,
			want: `{}`,
		},
	})
}

func TestExternalArtifactValidation(t *testing.T) {
	checkRows(t, sourcev1.ExternalArtifactKind, map[string]crdtest.Row{}, requiredRows("spec.sourceRef.kind", "spec.sourceRef.name"))
}
