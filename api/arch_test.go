package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// testHelpers are imported by tests only, and so may import what tests may.
const testHelpers = "weir.dev/api/internal/crdtest"

// allowed is what the types may import, besides the standard library and each other.
var allowed = []string{
	"k8s.io/apimachinery/",
	"k8s.io/apiextensions-apiserver/pkg/apis/", // has the type of a field that may be anything; those of Flux import it, too
	"github.com/fluxcd/pkg/apis/",
}

// TestImports keeps this module cheap: other programs import the types, and with them
// all that the types import.
func TestImports(t *testing.T) {
	packages := list(t)
	if len(packages) < 3 {
		t.Fatalf("found only %d packages", len(packages))
	}
	for _, p := range packages {
		if p.ImportPath == testHelpers {
			continue
		}
		for _, path := range p.Imports {
			if !p.mayImport(path) {
				t.Errorf("%s imports %s", p.ImportPath, path)
			}
		}
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func (p goPackage) mayImport(path string) bool {
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	if strings.HasPrefix(path, "weir.dev/api/") {
		return path != testHelpers
	}
	return slices.ContainsFunc(allowed, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

// list returns the packages of this module with what their code, but not their tests,
// imports.
func list(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
