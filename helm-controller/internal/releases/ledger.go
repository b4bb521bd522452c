package releases

import "k8s.io/apimachinery/pkg/types"

// ledger is where a History looks up which versions there are, and enters its writes.
type ledger interface {
	known() (Index, bool)
	begin() (end func())
	wrote(Version)
	removed(number int)
}

// blank is a ledger that nobody keeps.
type blank struct{}

func (blank) known() (Index, bool) { return nil, false }
func (blank) begin() func()        { return func() {} }
func (blank) wrote(Version)        {}
func (blank) removed(int)          {}

// row is what a Watcher keeps of one release.
type row struct {
	watcher *Watcher
	of      types.NamespacedName
}

func (l *row) known() (x Index, ok bool) {
	l.with(func(r *known) { x, ok = r.index(), l.watcher.listed })
	return x, ok
}

func (l *row) begin() (end func()) {
	l.with(func(r *known) { r.begin() })
	return func() {
		news := false
		l.with(func(r *known) { news = r.end() })
		if news {
			l.watcher.wake(l.of.Namespace, l.of.Name)
		}
	}
}

func (l *row) wrote(v Version) { l.with(func(r *known) { r.wrote(v) }) }

func (l *row) removed(number int) {
	l.with(func(r *known) { r.removed(number, l.watcher.listed) })
}

// with lets do read or change what is known of the release.
func (l *row) with(do func(*known)) {
	l.watcher.mu.Lock()
	defer l.watcher.mu.Unlock()
	r := l.watcher.use(l.of)
	do(r)
	l.watcher.tidy(l.of, r)
}
