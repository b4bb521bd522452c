package helmvalues

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/fluxcd/pkg/apis/meta"
	"sigs.k8s.io/yaml"
)

// lineOf finds where an error of the YAML parser is about. The rest of its message may
// have a part of a value.
var lineOf = regexp.MustCompile(`\bline [0-9]+\b`)

// parse reads a document of values. All numbers are float64, as in JSON.
func parse(document []byte) (map[string]any, error) {
	var values map[string]any
	if err := yaml.Unmarshal(document, &values); err != nil {
		if line := lineOf.FindString(err.Error()); line != "" {
			return nil, fmt.Errorf("%s: %w", line, ErrNoMap)
		}
		return nil, ErrNoMap
	}
	return values, nil
}

// verbatim has a value stand for itself where the helm command reads a list or another
// setting in it.
var verbatim = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `{`, `\{`)

// Setter understands assignments to paths as the flags of the helm command have them, and
// makes them. It is the package strvals of Helm, which this one does without.
type Setter struct {
	// Typed is that of --set: ParseInto.
	Typed func(assignment string, values map[string]any) error
	// Text is that of --set-string: ParseIntoString.
	Text func(assignment string, values map[string]any) error
}

// set puts the value of an entry at its target path in values, as the helm command does:
// a number, a boolean, null or a list in braces is told from a string, unless it is in
// quotes; more settings may follow after a comma. A literal value is a string whatever it
// has.
func (s Setter) set(values map[string]any, ref meta.ValuesReference, value string) error {
	assign := s.Typed
	switch {
	case ref.Literal:
		// Not ParseLiteralInto of Helm, to which a dot in a path is one even if it is escaped.
		assign, value = s.Text, verbatim.Replace(value)
	case quoted(value, "'"), quoted(value, `"`):
		assign, value = s.Text, strings.Trim(value, `'"`)
	}
	// The parser quotes what it does not understand, which may be the value.
	if assign(ref.TargetPath+"="+value, values) != nil {
		return ErrPath
	}
	return nil
}

// quoted reports whether value begins and ends with a quote. One alone does both.
func quoted(value, quote string) bool {
	return strings.HasPrefix(value, quote) && strings.HasSuffix(value, quote)
}
