package charttest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"maps"
	"slices"
)

// Pack returns the package of the chart: the same bytes for the same files.
func (c *Chart) Pack() []byte {
	c.t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	packed := tar.NewWriter(zipped)
	for _, file := range slices.Sorted(maps.Keys(c.files)) {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: c.Name() + "/" + file, Mode: 0o644, Size: int64(len(c.files[file]))}
		if err := packed.WriteHeader(header); err != nil {
			c.t.Fatalf("packing %q: %v", file, err)
		}
		if _, err := packed.Write(c.files[file]); err != nil {
			c.t.Fatalf("packing %q: %v", file, err)
		}
	}
	if err := packed.Close(); err != nil {
		c.t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		c.t.Fatal(err)
	}
	return out.Bytes()
}
