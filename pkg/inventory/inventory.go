// Package inventory handles sets of object identities: what an owner has applied
// and must remove one day, in the encoding of the API's statuses.
package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir.dev/pkg/manifest"
)

// Set maps the identities of objects to the version of the API by which they
// were applied. The nil Set is empty.
type Set map[manifest.ID]string

// Union returns the identities of both sets. Where both have one, the version of
// newer is taken.
func Union(older, newer Set) Set {
	out := make(Set, len(older)+len(newer))
	maps.Copy(out, older)
	maps.Copy(out, newer)
	return out
}

// Difference returns the identities of a that are not in b.
func Difference(a, b Set) Set {
	out := make(Set)
	for id, version := range a {
		if _, ok := b[id]; !ok {
			out[id] = version
		}
	}
	return out
}

// Contains reports whether every identity of b is in s.
func (s Set) Contains(b Set) bool {
	for id := range b {
		if _, ok := s[id]; !ok {
			return false
		}
	}
	return true
}

// IDs returns the identities in the order in which they are applied.
func (s Set) IDs() []manifest.ID {
	return slices.SortedFunc(maps.Keys(s), manifest.CompareApply)
}

// Ref is the type of an entry in a status. Those of weir.dev/api are such.
type Ref interface {
	~struct {
		ID      string `json:"id"`
		Version string `json:"v"`
	}
}

// ref is a Ref of which the fields can be named.
type ref struct{ ID, Version string }

// Encode returns the entries that are kept in a status, sorted by id.
func Encode[R Ref](s Set) []R {
	entries := make([]R, 0, len(s))
	for id, version := range s {
		entries = append(entries, R(ref{ID: encode(id), Version: version}))
	}
	slices.SortFunc(entries, func(a, b R) int { return strings.Compare(ref(a).ID, ref(b).ID) })
	return entries
}

// Decode reads the entries that are kept in a status.
func Decode[R Ref](entries []R) (Set, error) {
	s := make(Set, len(entries))
	for _, entry := range entries {
		id, err := decode(ref(entry).ID)
		if err != nil {
			return nil, err
		}
		s[id] = ref(entry).Version
	}
	return s, nil
}

// encode joins namespace, name, group and kind by underscores, which none of them
// has but the names of RBAC objects: their colons become two underscores.
func encode(id manifest.ID) string {
	return strings.Join([]string{id.Namespace, strings.ReplaceAll(id.Name, ":", "__"), id.Group, id.Kind}, "_")
}

func decode(s string) (manifest.ID, error) {
	namespace, rest, ok := strings.Cut(s, "_")
	if !ok {
		return manifest.ID{}, malformed(s)
	}
	rest, kind, ok := cutLast(rest)
	if !ok || kind == "" {
		return manifest.ID{}, malformed(s)
	}
	name, group, ok := cutLast(rest)
	if !ok || name == "" {
		return manifest.ID{}, malformed(s)
	}
	return manifest.ID{Group: group, Kind: kind, Namespace: namespace, Name: strings.ReplaceAll(name, "__", ":")}, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '_')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func malformed(s string) error {
	return fmt.Errorf("inventory entry %q is not of the form namespace_name_group_kind", s)
}
