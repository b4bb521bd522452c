package build

import (
	"encoding/base64"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	sigsyaml "sigs.k8s.io/yaml"
)

// echoes match where kustomize repeats what it was given, whole objects among it, and what changes
// from run to run.
var echoes = []struct {
	match *regexp.Regexp
	by    string
}{
	{regexp.MustCompile("(?s)trouble configuring builtin (\\w+) with config: `\n.*\n`: "), "$1: "},
	{regexp.MustCompile(`(?s): node contents:\n.*`), ""},
	{regexp.MustCompile(`(?s) ?\[?\{"(apiVersion|kind|metadata)".*`), ""},
	{regexp.MustCompile(`(?s)(must specify one of patch and path|patch and path can't be set at the same time).*`), "$1"},
	{regexp.MustCompile(`(?s) from \[patch: .*\]`), ""},
	{regexp.MustCompile(`(?s)(invalid document separator).*`), "$1"},
	{regexp.MustCompile(`(?s) in object \{\{.*?\}\}`), ""},
	{regexp.MustCompile(`id resid\.ResId\{.*?Kind:"([^"]*)".*?Name:"([^"]*)", Namespace:"[^"]*"\}`), "$1 $2"},
	{regexp.MustCompile(`&\{0x[^}]*\}: `), ""},
	{regexp.MustCompile("(!!\\w+) `[^`]*`"), "$1"},
	{regexp.MustCompile(`accumulating resources: accumulation err='.*?': must build at directory: '[^']*': file is not directory`), "accumulating resources"},
	{regexp.MustCompile(`(accumulating resources: )?accumulation err='accumulating resources from '[^']*': open [^']*: is a directory': `), ""},
	{regexp.MustCompile(`recursed accumulation of path '[^']*': `), ""},
	{regexp.MustCompile(regexp.QuoteMeta(mount) + "/?"), ""},
}

const (
	maxMessage = 600 // bytes that are told of an error of kustomize
	minSecret  = 4   // bytes of a value that is worth hiding; shorter ones are in any text
)

// scrub makes a text that can be shown of an error of kustomize.
func scrub(text string, secrets []string) string {
	for _, echo := range echoes {
		text = echo.match.ReplaceAllString(text, echo.by)
	}
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n") // objects follow, if anything does
	return oneLine(text)
}

func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}

// secrets returns the values of all Secrets that the build knows of, the longest first.
func (e *explainer) secrets() []string {
	var values secretValues
	for _, o := range e.objects() {
		if o.GetKind() == "Secret" {
			if text, err := o.AsYAML(); err == nil {
				values.ofObject(string(text))
			}
		}
	}
	for _, p := range e.patches() {
		values.ofPatch(p.text)
	}
	for _, k := range e.order {
		for _, args := range k.SecretGenerator {
			values.ofGenerator(e.graph, k.dir, args.KvPairSources)
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(values)
}

type secretValues []string

func (s *secretValues) add(value string) {
	for _, form := range []string{value, strings.TrimSpace(value)} {
		if len(form) >= minSecret {
			*s = append(*s, form, strings.Trim(fmt.Sprintf("%q", form), `"`))
		}
	}
	if decoded, err := base64.StdEncoding.DecodeString(value); err == nil && len(decoded) >= minSecret {
		*s = append(*s, string(decoded))
	}
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= minSecret && line != value {
			*s = append(*s, line)
		}
	}
}

func (s *secretValues) ofObject(text string) {
	var secret struct{ Data, StringData map[string]any }
	if err := sigsyaml.Unmarshal([]byte(text), &secret); err != nil {
		return
	}
	s.addAll(secret.Data)
	s.addAll(secret.StringData)
}

// addAll adds all values in a value of YAML.
func (s *secretValues) addAll(value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, value := range value {
			s.addAll(value)
		}
	case []any:
		for _, value := range value {
			s.addAll(value)
		}
	case nil, bool:
	default:
		s.add(fmt.Sprint(value))
	}
}

// ofPatch adds what a patch may set in a Secret.
func (s *secretValues) ofPatch(text string) {
	var ops []struct{ Value any }
	if err := sigsyaml.Unmarshal([]byte(text), &ops); err == nil {
		for _, op := range ops {
			s.addAll(op.Value)
		}
		return
	}
	for _, doc := range documents([]byte(text)) {
		if doc.node != nil {
			s.ofObject(doc.text)
		}
	}
}

func (s *secretValues) ofGenerator(g *graph, dir string, from types.KvPairSources) {
	for _, literal := range from.LiteralSources {
		s.add(literal)
		if _, value, ok := strings.Cut(literal, "="); ok {
			s.add(value)
		}
	}
	names := slices.Concat(from.EnvSources, []string{from.EnvSource})
	for _, source := range from.FileSources {
		names = append(names, fileOfSource(source))
	}
	for _, name := range names {
		content, err := g.readPlain(path.Join(dir, name))
		if err != nil {
			continue
		}
		s.add(string(content))
		for line := range strings.Lines(string(content)) {
			if _, value, ok := strings.Cut(line, "="); ok {
				s.add(value)
			}
		}
	}
}
