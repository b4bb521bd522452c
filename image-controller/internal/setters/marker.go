package setters

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/types"

	imagev1 "weir.dev/api/image/v1"
)

// maxMarker is how much of a marker a note shows, in bytes.
const maxMarker = 200

// A part of an image is what a marker asks for.
type part string

const (
	wholeImage part = ""
	onlyTag    part = "tag"
	onlyName   part = "name"
	onlyDigest part = "digest"
)

// marker is a comment that names a policy.
type marker struct {
	setter string // as it is in the comment
	policy types.NamespacedName
	part   part
}

// parseMarker reads a comment, with its #. Other keys of the object are not ours.
func parseMarker(comment string) (marker, bool) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(strings.TrimLeft(comment, "#")), &fields); err != nil {
		return marker{}, false
	}
	var setter string
	if err := json.Unmarshal(fields["$imagepolicy"], &setter); err != nil {
		return marker{}, false
	}
	words := strings.Split(setter, ":")
	if len(words) == 2 {
		words = append(words, string(wholeImage))
	} else if len(words) != 3 || words[2] == "" {
		return marker{}, false
	}
	if words[0] == "" || words[1] == "" {
		return marker{}, false
	}
	m := marker{
		setter: setter,
		policy: types.NamespacedName{Namespace: words[0], Name: words[1]},
		part:   part(words[2]),
	}
	switch m.part {
	case wholeImage, onlyTag, onlyName, onlyDigest:
		return m, true
	}
	return marker{}, false
}

// value returns what the part of an image is, or what is wrong.
func (p part) value(ref imagev1.ImageRef) (value, problem string) {
	if ref.Name == "" || ref.Tag == "" {
		return "", ProblemNoImage
	}
	switch p {
	case onlyTag:
		value = ref.Tag
	case onlyName:
		value = ref.Name
	case onlyDigest:
		value = ref.Digest
	default:
		value = ref.String()
	}
	switch {
	case value == "":
		return "", ProblemNoDigest
	case !printable(value):
		return "", ProblemBadImage
	}
	return value, ""
}

// printable says whether a value is of visible ASCII characters only, as images are.
func printable(value string) bool {
	for i := range len(value) {
		if value[i] <= ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}

// shorten cuts what a note shows.
func shorten(comment string) string {
	comment = strings.TrimSpace(strings.TrimLeft(comment, "#"))
	if len(comment) <= maxMarker {
		return comment
	}
	cut := maxMarker
	for !utf8.RuneStart(comment[cut]) {
		cut--
	}
	return comment[:cut] + "..."
}
