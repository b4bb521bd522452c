// Package inventory handles sets of object identities: what an owner has applied
// and must remove one day, in the encoding of the API's status.
package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	kustomizev1 "weir.dev/api/kustomize/v1"
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

// Encode returns the form that is kept in a status, sorted by id.
func (s Set) Encode() *kustomizev1.ResourceInventory {
	entries := make([]kustomizev1.ResourceRef, 0, len(s))
	for id, version := range s {
		entries = append(entries, kustomizev1.ResourceRef{ID: encode(id), Version: version})
	}
	slices.SortFunc(entries, func(a, b kustomizev1.ResourceRef) int { return strings.Compare(a.ID, b.ID) })
	return &kustomizev1.ResourceInventory{Entries: entries}
}

// Decode reads the form that is kept in a status. A nil inventory is empty.
func Decode(in *kustomizev1.ResourceInventory) (Set, error) {
	s := make(Set)
	if in == nil {
		return s, nil
	}
	for _, entry := range in.Entries {
		id, err := decode(entry.ID)
		if err != nil {
			return nil, err
		}
		s[id] = entry.Version
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
