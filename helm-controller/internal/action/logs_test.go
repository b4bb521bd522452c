package action

import (
	"bytes"
	"log"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chartutil"
)

// TestStandardLogShowsNoValues: the SDK tells values that do not fit to whoever reads the
// standard log, which the whole process has in common.
func TestStandardLogShowsNoValues(t *testing.T) {
	var got bytes.Buffer
	before, flags := log.Writer(), log.Flags()
	t.Cleanup(func() { log.SetOutput(before); log.SetFlags(flags) })
	log.SetOutput(WithoutValues(&got))
	log.SetFlags(0)
	table := func() map[string]any { return map[string]any{"db": map[string]any{"user": "hunter22"}} }
	chartutil.CoalesceTables(table(), map[string]any{"db": "hunter22 (first\nand more)"})
	chartutil.CoalesceTables(map[string]any{"db": []any{"hunter22 (list)"}}, table())
	log.Print("skipping unknown hook: \"later\" (twice)")
	want := []string{
		"warning: destination for db is a table. Ignoring non-table value (the value is not shown)",
		"warning: cannot overwrite table with non table for db (the value is not shown)",
		"skipping unknown hook: \"later\" (twice)",
	}
	lines := strings.Split(strings.TrimSpace(got.String()), "\n")
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
}
