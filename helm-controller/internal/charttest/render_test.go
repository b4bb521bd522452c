package charttest_test

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"

	"weir.dev/helm-controller/internal/charttest"
)

// update writes what is rendered to testdata/golden; look at the difference before it is committed.
var update = flag.Bool("update", false, "write the golden files")

const goldenDir = "testdata/golden"

// TestRender renders each chart with its own values, and with each variant of them.
func TestRender(t *testing.T) {
	t.Parallel()
	for _, name := range charttest.Names(t) {
		variants := charttest.Variants(t, name)
		variants["default"] = charttest.Variant{}
		for variant, v := range variants {
			t.Run(name+"/"+variant, func(t *testing.T) {
				t.Parallel()
				rel, err := charttest.Render(t, charttest.Open(t, name).Load(), v)
				compare(t, filepath.Join(goldenDir, name, variant+".yaml"), shown(rel, err))
			})
		}
	}
}

// TestGoldenFilesAreOfCharts: a golden file whose chart or variant is gone proves nothing.
func TestGoldenFilesAreOfCharts(t *testing.T) {
	t.Parallel()
	want := make(map[string]bool)
	for _, name := range charttest.Names(t) {
		want[filepath.Join(name, "default.yaml")] = true
		for variant := range charttest.Variants(t, name) {
			want[filepath.Join(name, variant+".yaml")] = true
		}
	}
	got := make(map[string]bool)
	err := filepath.WalkDir(goldenDir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := filepath.Rel(goldenDir, path)
		got[file] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("golden files (-want +got):\n%s", diff)
	}
}

// compare compares text with a golden file.
func compare(t *testing.T, file, text string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", file, diff)
	}
}

// shown is what a golden file tells of a release. What is made anew each time is told as such, what
// is long by its digest.
func shown(rel *release.Release, err error) string {
	if err != nil {
		return "Error: " + ordered(err.Error()) + "\n"
	}
	var out strings.Builder
	if rel.Info.Notes != "" {
		fmt.Fprintf(&out, "# Notes:\n%s\n", indent(rel.Info.Notes))
	}
	for _, hook := range rel.Hooks {
		fmt.Fprintf(&out, "---\n# Hook: %s of %s, weight %d, policies %v\n%s\n", hook.Events, hook.Path, hook.Weight, hook.DeletePolicies, hook.Manifest)
	}
	out.WriteString(rel.Manifest)
	return shorten(masked(out.String()))
}

// ordered sorts what a schema has to say of a chart: the SDK does so in any order.
func ordered(text string) string {
	lines := strings.Split(text, "\n")
	for from := 0; from < len(lines); from++ {
		to := from
		for to < len(lines) && strings.HasPrefix(lines[to], "- at ") {
			to++
		}
		slices.Sort(lines[from:to])
		from = max(from, to)
	}
	return strings.Join(lines, "\n")
}

// indent makes comments of lines.
func indent(text string) string { return "#   " + strings.ReplaceAll(text, "\n", "\n#   ") }

// masked replaces certificates and passwords that were made up.
func masked(text string) string {
	text = regexp.MustCompile(`LS0tLS1CRUdJTi[A-Za-z0-9+/=]+`).ReplaceAllString(text, "<PEM>")
	return regexp.MustCompile(`password: "[A-Za-z0-9+/]{32}"`).ReplaceAllString(text, `password: "<RANDOM>"`)
}

// shorten replaces lines and texts that nobody would read.
func shorten(text string) string {
	const maxLine, maxLines = 500, 800
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if len(line) > maxLine {
			lines[i] = fmt.Sprintf("%s... (%d bytes, sha256 %x)", line[:40], len(line), sha256.Sum256([]byte(line)))
		}
	}
	if n := len(lines); n > maxLines {
		rest := strings.Join(lines[maxLines/2:], "\n")
		lines = append(lines[:maxLines/2], fmt.Sprintf("... (%d lines, sha256 %x)\n", n-maxLines/2, sha256.Sum256([]byte(rest))))
	}
	return strings.Join(lines, "\n")
}

// objects returns the kinds of what a release consists of, and how many there are of each.
func objects(rel *release.Release) map[string]int {
	kinds := make(map[string]int)
	for _, match := range regexp.MustCompile(`(?m)^kind: (\w+)`).FindAllStringSubmatch(rel.Manifest, -1) {
		kinds[match[1]]++
	}
	return kinds
}

func TestBigIsBig(t *testing.T) {
	t.Parallel()
	rel, err := charttest.Render(t, charttest.Open(t, "big").Load(), charttest.Variant{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"ConfigMap": 120, "Secret": 120, "ServiceAccount": 120}, objects(rel)); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}

// TestHooksOfEveryEvent: the chart is good for nothing if it leaves one out.
func TestHooksOfEveryEvent(t *testing.T) {
	t.Parallel()
	rel, err := charttest.Render(t, charttest.Open(t, "hooks").Load(), charttest.Variant{})
	if err != nil {
		t.Fatal(err)
	}
	events, policies := make(map[string]bool), make(map[string]bool)
	for _, hook := range rel.Hooks {
		for _, event := range hook.Events {
			events[event.String()] = true
		}
		for _, policy := range hook.DeletePolicies {
			policies[policy.String()] = true
		}
	}
	if diff := cmp.Diff(sorted(release.HookPreInstall, release.HookPostInstall, release.HookPreDelete, release.HookPostDelete, release.HookPreUpgrade,
		release.HookPostUpgrade, release.HookPreRollback, release.HookPostRollback, release.HookTest), slices.Sorted(maps.Keys(events))); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sorted(release.HookSucceeded, release.HookFailed, release.HookBeforeHookCreation), slices.Sorted(maps.Keys(policies))); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
}

func sorted[T fmt.Stringer](of ...T) []string {
	var names []string
	for _, v := range of {
		names = append(names, v.String())
	}
	slices.Sort(names)
	return names
}
