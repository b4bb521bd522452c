package releases

import "slices"

// known is what a Watcher knows of a release.
type known struct {
	versions []entry
	// writes is how many of our own are under way. News is held back meanwhile: it may
	// be of them, as the watch may be faster than the answer.
	writes int
	held   []news
	// asked says that somebody was told that nothing is known.
	asked bool
}

// entry is a version that a Watcher knows.
type entry struct {
	Version
	gone bool // we deleted it, and the watch has not told yet
}

// news is a change of a version that was seen while we wrote.
type news struct {
	number          int
	resourceVersion string
	gone            bool
}

// saw takes in what the watch tells of a version, and reports whether that is news, now.
func (r *known) saw(v Version, gone bool) bool {
	if !r.take(v, gone) {
		return false
	}
	if r.writes > 0 {
		r.held = append(r.held, news{number: v.Number, resourceVersion: v.ResourceVersion, gone: gone})
		return false
	}
	return true
}

// take takes in the state of a version, and reports whether that is another than was known.
func (r *known) take(v Version, gone bool) bool {
	i := r.find(v.Number)
	switch {
	case i < 0 && gone:
		return false
	case i < 0:
		r.versions = append(r.versions, entry{Version: v})
		return true
	case gone && newer(r.versions[i].ResourceVersion, v.ResourceVersion):
		return false // another has taken its place
	case gone:
		ours := r.versions[i].gone
		r.versions = slices.Delete(r.versions, i, i+1)
		return !ours
	case newer(v.ResourceVersion, r.versions[i].ResourceVersion):
		r.versions[i] = entry{Version: v}
		return true
	default:
		return false
	}
}

// missing takes away what a list at a resource version lacks, and reports whether that
// is news, now.
func (r *known) missing(present map[int]bool, at string) bool {
	found := false
	for _, e := range slices.Clone(r.versions) {
		if !present[e.Number] && r.saw(Version{Number: e.Number, ResourceVersion: at}, true) {
			found = true
		}
	}
	return found
}

// wrote takes in a version that we wrote.
func (r *known) wrote(v Version) {
	r.take(v, false)
	r.held = slices.DeleteFunc(r.held, func(n news) bool {
		return n.number == v.Number && !newer(n.resourceVersion, v.ResourceVersion)
	})
}

// removed takes in that we deleted a version. If the watch is yet to tell that, which it
// does only while it is kept, late news of the version from before must not revive it.
func (r *known) removed(number int, watched bool) {
	if i := slices.IndexFunc(r.held, func(n news) bool { return n.number == number && n.gone }); i >= 0 {
		r.held = slices.Delete(r.held, i, i+1) // the watch was faster
		return
	}
	i := r.find(number)
	switch {
	case i < 0:
	case watched:
		r.versions[i].gone = true
	default:
		r.versions = slices.Delete(r.versions, i, i+1)
	}
}

// begin counts a write of ours.
func (r *known) begin() { r.writes++ }

// end counts the end of a write, and reports whether there was news meanwhile.
func (r *known) end() bool {
	r.writes--
	if r.writes > 0 || len(r.held) == 0 {
		return false
	}
	r.held = nil
	return true
}

func (r *known) find(number int) int {
	return slices.IndexFunc(r.versions, func(e entry) bool { return e.Number == number })
}
