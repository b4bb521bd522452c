package stack

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"

	"sigs.k8s.io/yaml"
)

// Charts is a Helm repository on this machine.
type Charts struct {
	// URL is that of the repository.
	URL string

	mu    sync.Mutex
	index chartIndex
	files map[string][]byte // by path
}

// chartIndex is what index.yaml says.
type chartIndex struct {
	APIVersion string                    `json:"apiVersion"`
	Entries    map[string][]chartVersion `json:"entries"`
}

type chartVersion struct {
	APIVersion string   `json:"apiVersion"`
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Digest     string   `json:"digest"`
	URLs       []string `json:"urls"`
}

// StartCharts serves a Helm repository, which is empty. It ends with the stack.
func (s *Stack) StartCharts(context.Context) (*Charts, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &Charts{
		URL:   "http://" + l.Addr().String(),
		index: chartIndex{APIVersion: "v1", Entries: make(map[string][]chartVersion)},
		files: make(map[string][]byte),
	}
	s.charts = &http.Server{Handler: c, ReadHeaderTimeout: headerTimeout}
	go func() { _ = s.charts.Serve(l) }() // ends when Stop closes it
	return c, nil
}

// Publish makes a version of a chart available, of files by their path in it. Chart.yaml is written.
func (c *Charts) Publish(name, version string, files map[string]string) error {
	packed, err := PackChart(name, version, files)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(packed)
	file := name + "-" + version + ".tgz"
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files["/"+file] = packed
	c.index.Entries[name] = append(c.index.Entries[name], chartVersion{
		APIVersion: "v2", Name: name, Version: version, Digest: hex.EncodeToString(sum[:]), URLs: []string{file},
	})
	c.files["/index.yaml"], err = yaml.Marshal(c.index)
	return err
}

// PackChart packs a chart of files by their path in it. Chart.yaml is written.
func PackChart(name, version string, files map[string]string) ([]byte, error) {
	all := map[string]string{name + "/Chart.yaml": fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\nappVersion: %q\n", name, version, version)}
	for file, content := range files {
		all[name+"/"+file] = content
	}
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	packed := tar.NewWriter(zipped)
	for _, file := range slices.Sorted(maps.Keys(all)) {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: file, Mode: 0o644, Size: int64(len(all[file]))}
		if err := packed.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := packed.Write([]byte(all[file])); err != nil {
			return nil, err
		}
	}
	err := errors.Join(packed.Close(), zipped.Close())
	return out.Bytes(), err
}

// ServeHTTP implements http.Handler.
func (c *Charts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	content, found := c.files[r.URL.Path]
	c.mu.Unlock()
	if !found {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(content) // who has gone does not miss it
}
