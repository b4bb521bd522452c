package source

import (
	"bufio"
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/fluxcd/pkg/sourceignore/gitignore"
)

// maxNames bounds how many names a rules remembers.
const maxNames = 1 << 16

// rules match like the Matcher of gitignore, of which the last rule that matches counts.
// That one tries each rule on each part of a path. Here a rule is tried only if a part
// has the name that it needs, and a name, which most often is one that no rule needs,
// is looked at once.
type rules struct {
	all    []rule
	always []int // those that need no name

	mu    sync.Mutex
	names map[string][]int // which rules need it
}

// rule is one pattern, and a name that a part of each path must have that it matches. It
// is a pattern itself, and empty if there is none.
type rule struct {
	gitignore.Pattern
	needs string
}

func newRule(text string, domain []string) rule {
	return rule{Pattern: gitignore.ParsePattern(text, domain), needs: needed(text)}
}

// needed returns the last part of a pattern, but for those that stand for any folders.
func needed(text string) string {
	text = strings.TrimPrefix(text, "!")
	if !strings.HasSuffix(text, `\ `) {
		text = strings.TrimRight(text, " ")
	}
	parts := strings.Split(text, "/")
	for _, part := range slices.Backward(parts) {
		if part != "" && !strings.Contains(part, "**") {
			return part
		}
	}
	return ""
}

// readRules reads rules as a file has them, one a line.
func readRules(content []byte, domain []string) []rule {
	var all []rule
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		if text := lines.Text(); !strings.HasPrefix(text, "#") && strings.TrimSpace(text) != "" {
			all = append(all, newRule(text, domain))
		}
	}
	return all
}

// listedRules are rules with commas between them.
func listedRules(lists ...string) []rule {
	var all []rule
	for _, list := range lists {
		for text := range strings.SplitSeq(list, ",") {
			all = append(all, newRule(text, nil))
		}
	}
	return all
}

func newRules(all []rule) *rules {
	r := &rules{all: all, names: make(map[string][]int)}
	for i, one := range all {
		if one.needs == "" {
			r.always = append(r.always, i)
		}
	}
	return r
}

// Match implements gitignore.Matcher.
func (r *rules) Match(path []string, isDir bool) bool {
	var few [16]int
	for _, i := range slices.Backward(r.candidates(few[:0], path)) {
		if match := r.all[i].Match(path, isDir); match > gitignore.NoMatch {
			return match == gitignore.Exclude
		}
	}
	return false
}

// candidates appends the rules that a path may match, in their order.
func (r *rules) candidates(found []int, path []string) []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	found = append(found, r.always...)
	for _, name := range path {
		needing, known := r.names[name]
		if !known {
			needing = r.needing(name)
			if len(r.names) >= maxNames {
				clear(r.names)
			}
			r.names[name] = needing
		}
		found = append(found, needing...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// needing returns the rules that need a name.
func (r *rules) needing(name string) []int {
	var found []int
	for i, one := range r.all {
		if one.needs == "" {
			continue
		}
		// What is no pattern, the rule itself shall judge.
		if ok, err := filepath.Match(one.needs, name); ok || err != nil {
			found = append(found, i)
		}
	}
	return found
}
