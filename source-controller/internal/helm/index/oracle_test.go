package index_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/repo"
	"sigs.k8s.io/yaml"

	"weir.dev/source-controller/internal/helm/index"
)

// oracle reads an index by Helm's library.
func oracle(t testing.TB, data []byte) (*repo.IndexFile, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "index.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return repo.LoadIndexFile(file)
}

// generator makes indexes as they are found in the world.
type generator struct{ *rand.Rand }

func (g generator) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) version() string {
	v := fmt.Sprintf("%d.%d.%d", g.IntN(3), g.IntN(12), g.IntN(12))
	if g.IntN(5) == 0 {
		v += "-" + g.pick("alpha.1", "beta", "rc.2", "rc.10")
	}
	if g.IntN(6) == 0 {
		v += "+" + g.pick("abc", "20200101", "1")
	}
	if g.IntN(10) == 0 {
		v = "v" + v
	}
	return v
}

func (g generator) text() string {
	return g.pick(
		"A chart", "", "true", "1.0", "on", "it's \"quoted\" \\ and: colons # not a comment", "- dash", "trailing ", " leading",
		"- kind: added\n  description: Something\n- kind: fixed\n", "two\n\nparagraphs", "ends with\n\n", "tab\there", "größer – 東京", "null", "0x12", "12e4",
		strings.Repeat("a long description with many words ", 6)+"end", strings.Repeat("it's: a long description ", 6)+"end",
		"1234567890e12", "2020-01-01", "~", "*star", "&anchor", "!tag", "{a: b}", "[a]", "%x", "@x", "`x`", "|", ">", "a #b", "a:", "?", "<html> & co", "\u00a0nbsp", "\u2028",
	)
}

func (g generator) list() []string {
	var out []string
	for range g.IntN(3) {
		out = append(out, g.text())
	}
	return out
}

func (g generator) entry(name string) *repo.ChartVersion {
	v := &repo.ChartVersion{
		Metadata: &chart.Metadata{
			APIVersion: g.pick("v1", "v2"), Name: name, Version: g.version(), AppVersion: g.text(), Description: g.text(), Home: g.text(),
			Icon: g.text(), KubeVersion: g.pick("", ">=1.19.0-0", "^1.20", "~1.2"), Keywords: g.list(), Sources: g.list(), Deprecated: g.IntN(4) == 0,
			Type: g.pick("", "application", "library"),
		},
		URLs:    []string{"https://charts.example.com/" + name + ".tgz"},
		Created: time.Unix(g.Int64N(1e9), g.Int64N(1e9)).UTC(),
		Digest:  fmt.Sprintf("%016x", g.Uint64()),
	}
	if g.IntN(2) == 0 {
		v.Annotations = map[string]string{"artifacthub.io/changes": g.text(), "category": g.text()}
		v.Maintainers = []*chart.Maintainer{{Name: g.text(), Email: "a@example.com"}, {Name: g.text()}}
		v.Dependencies = []*chart.Dependency{{Name: "common", Version: g.pick("1.x.x", ">= 2", "*"), Repository: "https://charts.example.com", Tags: g.list()}}
	}
	switch g.IntN(25) {
	case 0:
		v.Name = ""
	case 1:
		v.Version = g.pick("", "latest", "1.2", "1")
	case 2:
		v.Dependencies = []*chart.Dependency{{Name: "a"}, {Name: "a"}}
	case 3:
		v.Type = "nothing"
	case 4:
		return nil
	}
	return v
}

func (g generator) index() *repo.IndexFile {
	f := &repo.IndexFile{APIVersion: "v1", Generated: time.Unix(g.Int64N(1e9), 0).UTC(), Entries: make(map[string]repo.ChartVersions)}
	for range g.IntN(5) {
		name := g.pick("demo", "web-app", "a", "zeta", "my.chart", "y", "on", "3scale", "12")
		for range 1 + g.IntN(6) {
			f.Entries[name] = append(f.Entries[name], g.entry(name))
		}
	}
	if g.IntN(3) == 0 {
		f.Annotations = map[string]string{"a": g.text()}
		f.PublicKeys = g.list()
		f.ServerInfo = map[string]any{"contextPath": g.text()}
	}
	return f
}

// layouts writes an index in the ways that are in use.
func layouts(t testing.TB, f *repo.IndexFile) map[string][]byte {
	t.Helper()
	folded, err := yaml.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	indented, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"yaml": folded, "json": compact, "indented json": indented,
		"yaml after a marker": append([]byte("---\n"), folded...),
		"yaml of windows":     bytes.ReplaceAll(folded, []byte("\n"), []byte("\r\n")),
		"yaml with comments":  bytes.ReplaceAll(folded, []byte("\nentries:\n"), []byte("\n# all charts\nentries:\n  # the first\n")),
	}
}

// TestReadsWhatHelmReads publishes many indexes, in all layouts, and has Helm publish
// them too.
func TestReadsWhatHelmReads(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		g := generator{rand.New(rand.NewPCG(seed, 1))}
		for layout, data := range layouts(t, g.index()) {
			compare(t, fmt.Sprintf("seed %d, %s", seed, layout), data)
		}
	}
}

// compare reads an index by both.
func compare(t testing.TB, name string, data []byte) {
	t.Helper()
	want, wantErr := oracle(t, data)
	got, err := index.Parse(data)
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("%s: error %v; Helm says %v; of:\n%s", name, err, wantErr, data)
	}
	if err != nil {
		return
	}
	for name := range want.Entries {
		if want.Entries[name] == nil {
			want.Entries[name] = repo.ChartVersions{} // of no meaning: null, not []
		}
	}
	if want.Entries == nil {
		want.Entries = make(map[string]repo.ChartVersions)
	}
	wantText, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := got.WriteJSON(&text); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !bytes.Equal(text.Bytes(), wantText) {
		t.Fatalf("%s: published (-Helm +got):\n%s\nof:\n%s", name, cmp.Diff(string(wantText), text.String()), data)
	}
}

// TestPicksWhatHelmPicks asks both for versions of charts.
func TestPicksWhatHelmPicks(t *testing.T) {
	t.Parallel()
	picked := 0
	for seed := range uint64(300) {
		g := generator{rand.New(rand.NewPCG(seed, 2))}
		f := g.index()
		data, err := yaml.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		helm, err := oracle(t, data)
		if err != nil {
			continue
		}
		x, err := index.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		var stored bytes.Buffer
		if err := x.WriteJSON(&stored); err != nil {
			t.Fatal(err)
		}
		for name := range helm.Entries {
			versions, err := index.Find(bytes.NewReader(stored.Bytes()), name)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"", "*", "1.x", ">=0.5.0-0", "~1.2", "^2", g.version()} {
				got, gotErr := index.Select(versions, name, want)
				helms, helmErr := helm.Get(name, want)
				if helmErr == nil && strings.Count(without(helms.Version), ".") != 2 {
					continue // no version but to the letter
				}
				if (gotErr != nil) != (helmErr != nil) {
					t.Fatalf("seed %d: %s %q: error %v; Helm says %v", seed, name, want, gotErr, helmErr)
				}
				if gotErr != nil {
					continue
				}
				picked++
				// Of versions that differ in build metadata only, Helm takes any.
				if without(got.Version) != without(helms.Version) {
					t.Errorf("seed %d: %s %q is %s; Helm takes %s", seed, name, want, got.Version, helms.Version)
				}
			}
		}
	}
	if picked < 500 {
		t.Errorf("only %d versions were compared", picked)
	}
}

// without is a version without its build metadata.
func without(version string) string {
	version, _, _ = strings.Cut(version, "+")
	return strings.TrimPrefix(version, "v")
}
