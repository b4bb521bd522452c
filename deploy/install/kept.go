package install

import (
	"cmp"
	"slices"
	"strings"
)

// Said reports whether somebody has said how something is to be, by the name of its flag. What
// profiles say goes by their names: that of a lockdown, and that there are to be shards.
type Said func(flag string) bool

// Keep returns options in which whatever nobody has said is as an installation has it: a run
// that is about something else changes nothing about it. Without a function, all is said
// but what is empty.
func (o Options) Keep(in Installed, said Said) Options {
	if said == nil {
		said = func(flag string) bool { return flag != "registry" || o.Registry != "" }
	}
	if in.Registry != "" && !said("registry") {
		o.Registry = in.Registry
	}
	if in.EventsAddr != "" && !said("events-addr") {
		o.EventsAddr = in.EventsAddr
	}
	if !said("components") {
		o.Components = kept(o.Components, in.Components)
	}
	s := in.Shape
	if s == nil {
		return o
	}
	for flag, keep := range map[string]func(){
		ProfileLockdown: func() { o.Lockdown = s.Lockdown },
		"workload-identity": func() { // which patches of users ask for as well, also under a lockdown
			o.WorkloadIdentity = o.WorkloadIdentity || s.WorkloadIdentity && !s.Lockdown
		},
		"watch-all-namespaces": func() { o.WatchAllNamespaces = s.WatchAllNamespaces },
		"network-policy":       func() { o.NetworkPolicy = s.NetworkPolicy },
		"image-pull-secret":    func() { o.ImagePullSecret = s.ImagePullSecret },
		"shards": func() {
			if len(s.Shards) > 0 || !said(ProfileSharded) { // which asks for some, whatever their names
				o.Shards = s.Shards
			}
		},
		"toleration-keys": func() { o.TolerationKeys = s.TolerationKeys },
		"cluster-domain":  func() { o.ClusterDomain = cmp.Or(s.ClusterDomain, o.ClusterDomain) },
		"log-level":       func() { o.LogLevel = cmp.Or(s.LogLevel, o.LogLevel) },
	} {
		if !said(flag) {
			keep()
		}
	}
	return o
}

// Looser tells, in sentences, what an installation keeps from happening, and options allow.
func (o Options) Looser(in Installed) []string {
	var all []string
	s := in.Shape
	if s == nil {
		return nil
	}
	for _, name := range kept(nil, in.Components) {
		if !slices.Contains(o.Components, name) {
			all = append(all, name+" is left out: its objects are no longer reconciled")
		}
	}
	if s.Lockdown && !o.Lockdown {
		all = append(all, "the lockdown ends: objects are applied by controllers that may do everything, and may refer to other namespaces")
	}
	if !s.WatchAllNamespaces && o.WatchAllNamespaces {
		all = append(all, "the controllers get the objects of all namespaces, and not only those of their own")
	}
	if s.NetworkPolicy && !o.NetworkPolicy {
		all = append(all, "the NetworkPolicies go: every Pod of the cluster can reach the controllers, and read the artifacts of sources")
	}
	if o.WorkloadIdentity && !s.WorkloadIdentity {
		all = append(all, "the controllers can act as any ServiceAccount, to get in to clouds")
	}
	if gone := slices.DeleteFunc(slices.Clone(s.Shards), func(name string) bool { return slices.Contains(o.Shards, name) }); len(gone) > 0 {
		all = append(all, "objects of the shards "+strings.Join(gone, ", ")+" are no longer reconciled by controllers of their own")
	}
	return all
}
