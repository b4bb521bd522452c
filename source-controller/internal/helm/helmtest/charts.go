// Package helmtest is what the tests of the kinds of Helm share: charts, a chart server
// that counts and breaks, and a controller with these kinds.
package helmtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// Chart returns the files of a small chart; more may be added, or replaced.
func Chart(name, version string, more map[string]string) map[string]string {
	files := map[string]string{
		"Chart.yaml":             fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\nappVersion: \"1.10\"\n", name, version),
		"values.yaml":            "image:\n  tag: one\nreplicas: 1\n",
		"templates/app.yaml":     "kind: ConfigMap\n",
		"templates/_helpers.tpl": "{{/* none */}}\n",
		"ci/test-values.yaml":    "replicas: 3\n",
		"values-production.yaml": "image:\n  tag: two\nextra: [1]\n",
	}
	maps.Copy(files, more)
	return files
}

// Package packages the files of a chart as Helm does: each time in another way.
func Package(t testing.TB, name string, files map[string]string) []byte {
	t.Helper()
	below := make(map[string]string, len(files))
	for file, content := range files {
		below[name+"/"+file] = content
	}
	return TarGz(t, below)
}

// TarGz writes an archive of files.
func TarGz(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), ModTime: time.Now(), Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
