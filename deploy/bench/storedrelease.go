package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// storedRelease is a Secret of the size of that by which Helm remembers a release: with the
// chart, and what was rendered of it.
func storedRelease(i int, r releasing) (object, error) {
	var manifest strings.Builder
	for _, t := range templates() {
		manifest.WriteString("---\n" + fill(t.text, releaseFloorSpace, i, r.floorVersion))
	}
	text, err := json.Marshal(map[string]any{
		"name": appName(i), "namespace": releaseFloorSpace, "version": r.revision, "chart": releaseChart(), "manifest": manifest.String(),
	})
	if err != nil {
		return object{}, err
	}
	var packed bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return object{}, err
	}
	if _, err := zipped.Write(text); err != nil {
		return object{}, err
	}
	if err := zipped.Close(); err != nil {
		return object{}, err
	}
	release := base64.StdEncoding.EncodeToString(packed.Bytes())
	data, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
		"metadata": map[string]any{
			"name":   fmt.Sprintf("sh.helm.release.v1.%s.v%d", appName(i), r.revision),
			"labels": map[string]string{"floor": "release", "name": appName(i), "status": "deployed", "version": fmt.Sprint(r.revision)},
		},
		"data": map[string]string{"release": base64.StdEncoding.EncodeToString([]byte(release))},
	})
	return object{path: storedPath(i, r.revision), data: data}, err
}
