package definitions

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"weir.dev/pkg/manifest"
)

// maxSeen bounds how many files are remembered, each for some hundred bytes.
const maxSeen = 4096

// seen is what this process knows of files. Definitions are large, and a chart has the same
// in each of its releases and in most of its versions.
var seen = memory{files: make(map[[sha256.Size]byte]contents)}

type memory struct {
	mu    sync.Mutex
	files map[[sha256.Size]byte]contents
}

// contents is what is in a file.
type contents struct {
	definitions []definition
	others      []string // which are no definitions
}

type definition struct {
	id      manifest.ID
	version string
}

// look returns what is in a file, and reads it if that is not known.
func (m *memory) look(f *file) (contents, error) {
	sum := sha256.Sum256(f.File.Data)
	m.mu.Lock()
	c, known := m.files[sum]
	m.mu.Unlock()
	if known {
		return c, nil
	}
	objects, others, err := read(f.File.Data)
	if err != nil {
		return contents{}, err
	}
	f.objects, c.others = objects, others
	for _, obj := range objects {
		c.definitions = append(c.definitions, definition{manifest.IDOf(obj), obj.GroupVersionKind().Version})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.files) >= maxSeen {
		clear(m.files)
	}
	m.files[sum] = c
	return c, nil
}

// read returns the definitions in a file, and says what else is in it.
func read(data []byte) (objects []*unstructured.Unstructured, others []string, err error) {
	all, strange, err := readAll(data)
	for range strange {
		others = append(others, "a document that is no Kubernetes object")
	}
	for _, obj := range all {
		if id := manifest.IDOf(obj); id.Group != group || id.Kind != kind {
			others = append(others, id.String()+", which is no CustomResourceDefinition")
			continue
		}
		objects = append(objects, obj)
	}
	return objects, others, err
}

// readAll returns the objects in a file, and how many documents are none.
func readAll(data []byte) (objects []*unstructured.Unstructured, strange int, err error) {
	objects, err = manifest.Read(data)
	if !errors.Is(err, manifest.ErrNoObject) {
		return objects, 0, err
	}
	// A document is no object, which does not make the others worse.
	docs := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for number := 1; ; number++ {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return objects, strange, nil
		}
		if err != nil {
			return nil, 0, err
		}
		found, err := manifest.Read(doc)
		switch {
		case errors.Is(err, manifest.ErrNoObject):
			strange++
		case err != nil:
			return nil, 0, fmt.Errorf("document %d: %w", number, err)
		}
		objects = append(objects, found...)
	}
}
