package setters

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	// plain values have no character that means something to YAML, in blocks and in flows. A
	// colon that ends a value would make a key of it.
	plain = regexp.MustCompile(`^[0-9A-Za-z_/]([0-9A-Za-z_./@+:-]*[0-9A-Za-z_./@+-])?$`)
	// number has the integers and floats of YAML 1.1 and 1.2 that are plain, without their
	// underscores: also those of base 60, such as 12:30.
	number = regexp.MustCompile(`^(0b[01]+|0o[0-7]+|0x[0-9a-f]+|[0-9]+(:[0-5]?[0-9])*(\.[0-9]*)?(e[-+]?[0-9]+)?)$`)
	// date is how a timestamp begins.
	date = regexp.MustCompile(`^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(t.*)?$`)
)

// write returns the text of a string in the style that a node has, where that is possible.
func write(value string, n *yaml.Node) string {
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0:
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return quote(value)
	case !plain.MatchString(value):
		return quote(value)
	case n.Style&yaml.TaggedStyle == 0 && !readsAsString(value):
		return quote(value)
	}
	return value
}

// quote returns a printable string in double quotes.
func quote(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// readsAsString says whether a plain value is a string under the rules of YAML 1.1 and of 1.2,
// and not a number, a date, a truth or nothing.
func readsAsString(value string) bool {
	value = strings.ToLower(value)
	switch value {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
		return false
	}
	return !number.MatchString(strings.ReplaceAll(value, "_", "")) && !date.MatchString(value)
}

// writable says whether a string may take the place of a value that has this tag. Tags of
// programs, such as !ref, stay what they are.
func writable(n *yaml.Node) bool {
	return n.Style&yaml.TaggedStyle == 0 || n.Tag == "!!str" || !strings.HasPrefix(n.Tag, "!!")
}
