package build

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/envsubst"
	"github.com/fluxcd/pkg/envsubst/parse"
	"sigs.k8s.io/yaml"
)

// Substitution replaces variables, written as ${NAME}, in the objects that kustomize made. It works
// on an object as YAML, and what comes out is read anew: so a value may become a number, or several
// fields. The label or annotation kustomize.toolkit.fluxcd.io/substitute: disabled keeps an object
// as it is.
type Substitution struct {
	// Vars are the values by name. Line breaks in them are dropped.
	Vars map[string]string

	// Always has defaults and escapes seen to also if there are no Vars. Else, nothing is done then.
	Always bool

	// Lenient makes a variable empty that has neither a value nor a default. Else it is an error.
	Lenient bool
}

// substituteKey is the label or annotation that keeps an object as it is.
const substituteKey = "kustomize.toolkit.fluxcd.io/substitute"

// disabled is the value of labels and annotations that keep an object out of something.
const disabled = "disabled"

var (
	variableName = regexp.MustCompile(`^[_[:alpha:]][_[:alpha:][:digit:]]*$`)
	lineBreaks   = strings.NewReplacer("\n", "", "\r", "")
)

// substituter is a Substitution that counts what a build takes of it.
type substituter struct {
	vars    map[string]string
	lenient bool
	max     limits

	inserted float64 // bytes, at most
	compared float64 // characters, with those of patterns, at most
}

// newSubstituter returns nil if nothing is to be done.
func newSubstituter(s *Substitution, max limits) (*substituter, error) {
	if s == nil || len(s.Vars) == 0 && !s.Always {
		return nil, nil
	}
	vars := make(map[string]string, len(s.Vars))
	for _, name := range slices.Sorted(maps.Keys(s.Vars)) {
		if !variableName.MatchString(name) {
			return nil, fmt.Errorf("post build failed: envsubst error: '%s' var name is invalid, must match '%s'", name, variableName)
		}
		vars[name] = lineBreaks.Replace(s.Vars[name])
	}
	return &substituter{vars: vars, lenient: s.Lenient, max: max}, nil
}

// substitute replaces the variables in an object, and says whether there were any.
func (s *substituter) substitute(p *product) (bool, error) {
	if s == nil || p.label(substituteKey) == disabled || p.annotation(substituteKey) == disabled {
		return false, nil
	}
	text, err := p.text()
	if err != nil {
		return false, err
	}
	if !substitutable(string(text)) {
		return false, nil
	}
	replaced, err := s.expand(string(text))
	if err != nil {
		return false, fmt.Errorf("post build failed for '%s': envsubst error: %w", p.name, err)
	}
	content, err := yaml.YAMLToJSON([]byte(replaced))
	if err == nil {
		err = p.set(content)
	}
	if err != nil {
		return false, fmt.Errorf("post build failed for '%s': envsubst error: YAMLToJSON: %w", p.name, errNotYAML{line: yamlLine.FindString(err.Error())})
	}
	return true, nil
}

// substitutable says whether there is anything in a text that is written differently afterwards:
// a variable, or an escape.
func substitutable(text string) bool {
	return strings.Contains(text, "${") || strings.Contains(text, "$$")
}

// errNotYAML does not repeat what the parser says, which may hold values.
type errNotYAML struct{ line string }

func (e errNotYAML) Error() string {
	text := "with its variables replaced, the object cannot be read"
	if e.line != "" {
		text += " at " + e.line
	}
	return text + ": a value has a character there that means something in YAML, such as a colon, a brace or a quote"
}

var errUnevaluable = errors.New("an operator cannot be applied to the value of its variable")

// expand replaces the variables in a text.
func (s *substituter) expand(text string) (out string, err error) {
	defer func() {
		if recover() != nil { // a substring with numbers that overflow; what it says may hold values
			err = fmt.Errorf("variable substitution failed: %w", errUnevaluable)
		}
	}()
	if n := strings.Count(text, "${"); n > s.max.expansions {
		return "", fmt.Errorf("the object has %d variables, more than the limit of %d: split it", n, s.max.expansions)
	}
	if s.compared += copies(text); s.compared > s.max.compared {
		return "", s.tooMuch()
	}
	text = shortDefault.ReplaceAllStringFunc(text, withColon)
	tree, err := parse.Parse(text)
	if err != nil {
		return "", fmt.Errorf("variable substitution failed: %w", err)
	}
	s.charge(tree.Root)
	if s.inserted > s.max.inserted || s.compared > s.max.compared {
		return "", s.tooMuch()
	}
	if out, err = envsubst.Eval(text, s.lookup); err != nil {
		return "", fmt.Errorf("variable substitution failed: %w", err)
	}
	return out, nil
}

// shortDefault matches ${NAME-default}, which the library does not know, and $${NAME-default}, which
// is an escape. It means the same as ${NAME:-default}: what is empty counts as unset.
var shortDefault = regexp.MustCompile(`\$+\{[\pL\pN_]+-`)

func withColon(found string) string {
	if strings.Count(found, "$")%2 == 0 {
		return found
	}
	return strings.TrimSuffix(found, "-") + ":-"
}

func (s *substituter) lookup(name string) (value string, ok bool) {
	value, ok = s.vars[name]
	return value, ok || s.lenient
}

func (s *substituter) tooMuch() error {
	return fmt.Errorf("the variables up to here may insert more than %.0f bytes, or take more than %.0f steps: use shorter values, or fewer patterns", s.max.inserted, s.max.compared)
}

// charge counts what a part of a text takes, before it is evaluated, and returns how long it may
// become. A replacement within a replacement multiplies, and a pattern is compared with a value as
// often as that has characters.
func (s *substituter) charge(node parse.Node) float64 {
	switch node := node.(type) {
	case *parse.TextNode:
		return float64(len(node.Value))
	case *parse.ListNode:
		size := 0.0
		for _, part := range node.Nodes {
			size += s.charge(part)
		}
		return size
	case *parse.FuncNode:
		return s.chargeFunc(node)
	}
	return 0
}

func (s *substituter) chargeFunc(node *parse.FuncNode) float64 {
	const (
		digits  = 20 // of a length
		letters = 3  // bytes that one may become in another case
	)
	value := float64(len(s.vars[node.Param])) + 1
	args, last := 0.0, 0.0
	for _, arg := range node.Args {
		last = s.charge(arg)
		args += last
	}
	size := value + args
	switch node.Name {
	case "//":
		size += value * last
	case "^", "^^", ",", ",,":
		size *= letters
	case "#", "##", "%", "%%":
		size += digits
		s.compared += value * value * (args + 1)
	}
	s.inserted += size
	return size
}

// escapable matches as much of a replacement as may have backslashes that escape.
var escapable = regexp.MustCompile(`\$\{[\pL\pN_]+/[^}]*`)

// copies counts the steps that escapes take: the parser copies the text for each.
func copies(text string) float64 {
	const perStep = 32 // bytes
	escapes := strings.Count(text, "$$")
	for _, found := range escapable.FindAllString(text, -1) {
		escapes += strings.Count(found, `\`)
	}
	return float64(escapes) * float64(len(text)) / perStep
}
