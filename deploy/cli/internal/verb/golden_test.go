package verb_test

import (
	"testing"

	"weir.dev/deploy/cli/internal/golden"
	"weir.dev/deploy/cli/internal/verb"
)

// TestGolden runs the commands as people do, and compares what they print.
func TestGolden(t *testing.T) { golden.Run(t, "testdata", verb.Run) }
