package gitrepository

import (
	"path"
	"slices"
	"strings"

	sourcev1 "weir.dev/api/source/v1"
)

const (
	// maxPlaces bounds how far includes are followed. Nobody who includes so much in each
	// other means to.
	maxPlaces = 1000
	// maxPlaceDepth is how deep a folder may be that includes are followed to.
	maxPlaceDepth = 64
)

// growing reports whether what a repository includes makes it grow without end, and on
// which way: its files come back to it, each time at a longer path. Repositories may
// include each other otherwise, which settles after a few runs.
func growing(name string, includes func(name string) []sourcev1.GitRepositoryInclude) []string {
	f := follow(place{name: name, path: "."}, includes)
	for _, from := range f.places {
		for _, hop := range f.hops[from] {
			if !hop.longer {
				continue
			}
			back := f.way(hop.to, func(p place) bool { return p == from })
			if back != nil && f.meets(name, from) {
				return append([]string{from.name}, names(back)...)
			}
		}
	}
	return nil
}

// place is a folder of a repository.
type place struct{ name, path string }

// hop leads from a place to one whose files come there.
type hop struct {
	to     place
	longer bool // they get a longer path than they have
}

// flow is where the files of a repository come from.
type flow struct {
	places []place // in the order in which they were found
	hops   map[place][]hop
}

// follow finds out where the files of a place come from.
func follow(start place, includes func(name string) []sourcev1.GitRepositoryInclude) flow {
	f := flow{places: []place{start}, hops: make(map[place][]hop)}
	known := map[place]bool{start: true}
	for i := 0; i < len(f.places) && len(f.places) < maxPlaces; i++ {
		at := f.places[i]
		for _, in := range includes(at.name) {
			h, ok := hopOf(at, in)
			if !ok {
				continue
			}
			f.hops[at] = append(f.hops[at], h)
			if !known[h.to] {
				known[h.to] = true
				f.places = append(f.places, h.to)
			}
		}
	}
	return f
}

// hopOf returns what an include brings to a place of the repository that has it.
func hopOf(at place, in sourcev1.GitRepositoryInclude) (hop, bool) {
	from, err := inside(in.FromPath, ".")
	if err != nil {
		return hop{}, false // it is refused where it is used
	}
	to, err := inside(in.ToPath, in.Repository.Name)
	if err != nil {
		return hop{}, false
	}
	h := hop{to: place{name: in.Repository.Name, path: from}}
	if rest, ok := below(to, at.path); ok {
		h.longer = rest != "." // all of it comes, to a path below
		return h, true
	}
	rest, ok := below(at.path, to)
	h.to.path = path.Join(from, rest) // a part of it
	return h, ok && strings.Count(h.to.path, "/") < maxPlaceDepth
}

// below returns the path of p relative to a folder that it is in, "." for the folder.
func below(p, folder string) (string, bool) {
	switch {
	case p == folder:
		return ".", true
	case folder == ".":
		return p, true
	default:
		return strings.CutPrefix(p, folder+"/")
	}
}

// meets reports whether a way leads from a place to the repository of a name and back.
func (f flow) meets(name string, from place) bool {
	return slices.ContainsFunc(f.places, func(p place) bool {
		return p.name == name &&
			f.way(from, func(q place) bool { return q == p }) != nil &&
			f.way(p, func(q place) bool { return q == from }) != nil
	})
}

// way returns the places on a shortest way from one to another, with both.
func (f flow) way(from place, to func(place) bool) []place {
	before := map[place]place{from: from}
	for queue := []place{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if to(at) {
			var way []place
			for ; at != before[at]; at = before[at] {
				way = append(way, at)
			}
			way = append(way, from)
			slices.Reverse(way)
			return way
		}
		for _, h := range f.hops[at] {
			if _, ok := before[h.to]; !ok {
				before[h.to] = at
				queue = append(queue, h.to)
			}
		}
	}
	return nil
}

func names(places []place) []string {
	var all []string
	for _, p := range places {
		all = append(all, p.name)
	}
	return all
}
