package charttest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// planeVariant is the variant for a cluster with simulated nodes.
const planeVariant = "plane"

// Variant is values to try a chart with.
type Variant struct {
	Values map[string]any
	// What is rendered for. A comment of the file that begins with the name of it says so.
	KubeVersion string   // "kubeVersion:"
	APIVersions []string // "apiVersions:", more than those that the SDK knows
	Upgrade     bool     // "upgrade: true"
}

// Variants returns the variants of a chart, by name. The default values of the chart are not among
// them.
func Variants(t testing.TB, name string) map[string]Variant {
	t.Helper()
	entries, err := testdata.ReadDir(path.Join(valuesDir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	variants := make(map[string]Variant, len(entries))
	for _, entry := range entries {
		text, err := testdata.ReadFile(path.Join(valuesDir, name, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		variants[strings.TrimSuffix(entry.Name(), ".yaml")] = variant(t, string(text))
	}
	return variants
}

// Values returns the values of one variant.
func Values(t testing.TB, name, variant string) map[string]any {
	t.Helper()
	found, ok := Variants(t, name)[variant]
	if !ok {
		t.Fatalf("chart %q has no variant %q", name, variant)
	}
	return found.Values
}

// PlaneValues returns the values that let a chart become ready on a cluster with simulated nodes,
// nil where its own do.
func PlaneValues(t testing.TB, name string) map[string]any {
	t.Helper()
	return Variants(t, name)[planeVariant].Values
}

// Incompressible returns a text of a length that no compression shortens to less than half: releases
// are stored compressed.
func Incompressible(length int) string {
	var text strings.Builder
	sum := sha256.Sum256(nil)
	for text.Len() < length {
		text.WriteString(hex.EncodeToString(sum[:]))
		sum = sha256.Sum256(sum[:])
	}
	return text.String()[:length]
}

// variant reads a file of values.
func variant(t testing.TB, text string) Variant {
	t.Helper()
	var v Variant
	if err := yaml.Unmarshal([]byte(text), &v.Values); err != nil {
		t.Fatalf("reading values: %v", err)
	}
	for line := range strings.Lines(text) {
		comment, ok := strings.CutPrefix(line, "# ")
		if !ok {
			continue
		}
		key, value, _ := strings.Cut(strings.TrimSpace(comment), ": ")
		switch key {
		case "kubeVersion":
			v.KubeVersion = value
		case "apiVersions":
			v.APIVersions = strings.Fields(value)
		case "upgrade":
			v.Upgrade = value == "true"
		}
	}
	return v
}
