package releases

import (
	"maps"

	"helm.sh/helm/v3/pkg/release"
)

// The methods that releases are applied by. A release that tells none was made by Helm 3,
// which knows ClientSide only.
const (
	ServerSide Method = "ssa"
	ClientSide Method = "csa"
)

// Method is how the objects of a release were applied, in the words of Helm 4.
type Method string

// Release is a version of a release as it is stored. It may be shared by all who read it
// from one History, so nobody changes it.
type Release struct {
	*release.Release

	// Method is how its objects were applied; empty if it does not tell.
	Method Method
	// ResourceVersion is that of its Secret.
	ResourceVersion string

	stored []byte // what the Secret holds
	size   int    // about how much memory it takes
}

// locked reports whether a status is that of an action that has not ended.
func locked(s release.Status) bool {
	return s.IsPending() || s == release.StatusUninstalling
}

// clone returns a copy of a release that an action may change. The chart is shared:
// actions change those only that they are given to release.
func clone(r *release.Release) *release.Release {
	c := *r
	info := *r.Info
	c.Info = &info
	c.Labels = maps.Clone(r.Labels)
	if r.Config != nil {
		c.Config = copyValues(r.Config).(map[string]any)
	}
	c.Hooks = nil
	for _, h := range r.Hooks {
		hook := *h
		c.Hooks = append(c.Hooks, &hook)
	}
	return &c
}

// copyValues returns a deep copy of values as JSON has them.
func copyValues(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for name, value := range v {
			c[name] = copyValues(value)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, value := range v {
			c[i] = copyValues(value)
		}
		return c
	default:
		return v
	}
}
