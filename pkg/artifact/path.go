package artifact

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxPart is the longest part of a path: what common file systems take for one name.
const maxPart = 255

// Dir is where the artifacts of one object are: `<kind>/<namespace>/<name>`. The zero value is no
// directory; others come from NewDir and hold checked parts only.
type Dir struct {
	kind, namespace, name string
}

// Path is where one artifact is, below the storage root and in its URL:
// `<kind>/<namespace>/<name>/<file>`. The zero value is no path; others come from Dir.File and
// ParsePath and hold checked parts only.
type Path struct {
	dir  Dir
	file string
}

// NewDir returns the directory of an object. The kind may be given as the API spells it.
func NewDir(kind, namespace, name string) (Dir, error) {
	d := Dir{kind: strings.ToLower(kind), namespace: namespace, name: name}
	for _, part := range [...]struct{ what, value string }{{"kind", d.kind}, {"namespace", namespace}, {"name", name}} {
		if err := checkPart(part.value); err != nil {
			return Dir{}, fmt.Errorf("%s %q in an artifact path: %w", part.what, part.value, err)
		}
	}
	return d, nil
}

// ParsePath accepts what String returns.
func ParsePath(s string) (Path, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 4 {
		return Path{}, fmt.Errorf("artifact path %q is not of the form kind/namespace/name/file", s)
	}
	d, err := NewDir(parts[0], parts[1], parts[2])
	if err != nil {
		return Path{}, err
	}
	if d.kind != parts[0] {
		return Path{}, fmt.Errorf("artifact path %q: the kind must be in lower case", s)
	}
	return d.File(parts[3])
}

// File returns the path of a file in the directory. A name that ends in ".lock" is refused: such
// files stand beside artifacts in storage that another program wrote.
func (d Dir) File(name string) (Path, error) {
	if d == (Dir{}) {
		return Path{}, errors.New("artifact path without a directory")
	}
	if err := checkPart(name); err != nil {
		return Path{}, fmt.Errorf("file %q in an artifact path: %w", name, err)
	}
	if strings.HasSuffix(name, ".lock") {
		return Path{}, fmt.Errorf("file %q in an artifact path: the name is reserved for locks", name)
	}
	return Path{dir: d, file: name}, nil
}

// IsZero reports whether d is the zero value.
func (d Dir) IsZero() bool { return d == (Dir{}) }

// String returns the path of the directory, with slashes, or "" for the zero value.
func (d Dir) String() string {
	if d.IsZero() {
		return ""
	}
	return d.kind + "/" + d.namespace + "/" + d.name
}

// Dir returns the directory of the object that the artifact belongs to.
func (p Path) Dir() Dir { return p.dir }

// File returns the last part.
func (p Path) File() string { return p.file }

// IsZero reports whether p is the zero value.
func (p Path) IsZero() bool { return p == (Path{}) }

// String returns the path with slashes, or "" for the zero value.
func (p Path) String() string {
	if p.IsZero() {
		return ""
	}
	return p.dir.String() + "/" + p.file
}

// URL returns where a server at the given address serves the artifact. The address is a host with
// an optional port, or starts with the scheme. Colons and plus signs stay as they are, because
// consumers compare URLs as strings.
func (p Path) URL(address string) string {
	if !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
		address = "http://" + address
	}
	u := url.URL{Path: "/" + p.String()}
	return strings.TrimRight(address, "/") + u.EscapedPath()
}

// checkPart refuses whatever could name something other than one visible entry of one directory.
func checkPart(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case len(s) > maxPart:
		return fmt.Errorf("is longer than %d bytes", maxPart)
	case !utf8.ValidString(s):
		return errors.New("is not UTF-8")
	case s[0] == '.':
		return errors.New("starts with a dot")
	case strings.ContainsAny(s, `/\`):
		return errors.New("contains a separator")
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("contains a control character")
	}
	return nil
}
