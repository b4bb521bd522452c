// Package depcheck lets the test of a module check which packages its code links,
// and tells by which imports it does so. The tests of that code may link what they
// like.
//
// Only tests import this package.
package depcheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Rule is something that packages must not link, directly or by others. Packages
// are named as the go command does: path/... is path and all below it.
type Rule struct {
	// Why is printed when the rule is broken.
	Why string
	// Of are the packages that the rule is about; none means all of the module.
	Of []string
	// Not are the packages that these must not link.
	Not []string
	// But are those among Not that they may.
	But []string
}

// Graph is what the code of a module imports, and what that imports, and so on.
type Graph struct {
	own     []string // the packages of the module that are more than tests
	imports map[string][]string
}

// Module returns the graph of the module in a folder, as it is without the
// workspace: that is how a container of it is built.
func Module(t testing.TB, dir string) *Graph {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,GoFiles,CgoFiles,Imports,DepOnly", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing the packages of %s: %v\n%s", dir, err, stderr.String())
	}
	g, err := read(string(out))
	if err != nil {
		t.Fatalf("listing the packages of %s: %v", dir, err)
	}
	return g
}

// read takes in the output of go list.
func read(list string) (*Graph, error) {
	g := &Graph{imports: make(map[string][]string)}
	for decoder := json.NewDecoder(strings.NewReader(list)); ; {
		var p struct {
			ImportPath                 string
			GoFiles, CgoFiles, Imports []string
			DepOnly                    bool
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return g, nil
		} else if err != nil {
			return nil, err
		}
		g.imports[p.ImportPath] = p.Imports
		if tests := len(p.GoFiles)+len(p.CgoFiles) == 0; !p.DepOnly && !tests {
			g.own = append(g.own, p.ImportPath)
		}
	}
}

// Packages returns the packages of the module that are more than tests.
func (g *Graph) Packages() []string { return slices.Clone(g.own) }

// Check fails the test for each rule that is broken.
func (g *Graph) Check(t *testing.T, rules map[string]Rule) {
	t.Helper()
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			for _, problem := range g.Broken(rule) {
				t.Errorf("%s (%s)", problem, rule.Why)
			}
		})
	}
}

// Broken returns how the rule is broken: for each package, the shortest chain of
// imports. A rule about packages that do not exist is broken, too: it guards
// nothing.
func (g *Graph) Broken(rule Rule) []string {
	var problems []string
	for _, pattern := range rule.Of {
		if !slices.ContainsFunc(g.own, func(p string) bool { return matches(p, pattern) }) {
			problems = append(problems, fmt.Sprintf("the module has no package %s", pattern))
		}
	}
	for _, p := range g.own {
		if len(rule.Of) > 0 && !matches(p, rule.Of...) {
			continue
		}
		if chain := g.chain(p, func(p string) bool { return matches(p, rule.Not...) && !matches(p, rule.But...) }); chain != nil {
			problems = append(problems, strings.Join(chain, " imports "))
		}
	}
	return problems
}

// chain returns the shortest way from a package to another that is found, nil if
// there is none.
func (g *Graph) chain(from string, found func(string) bool) []string {
	reached := map[string]string{from: ""} // from where
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range g.imports[queue[0]] {
			if _, ok := reached[next]; ok {
				continue
			}
			reached[next] = queue[0]
			queue = append(queue, next)
			if found(next) {
				return back(reached, next)
			}
		}
	}
	return nil
}

// back returns the way by which a package was reached.
func back(reached map[string]string, to string) []string {
	var way []string
	for p := to; p != ""; p = reached[p] {
		way = append(way, p)
	}
	slices.Reverse(way)
	return way
}

// matches reports whether one of the patterns names a package.
func matches(path string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		root, all := strings.CutSuffix(pattern, "/...")
		return path == root || all && strings.HasPrefix(path, root+"/")
	})
}
