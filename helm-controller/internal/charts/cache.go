// Package charts gets charts from the servers that publish them, and reads them. However
// many releases are made of a chart, a process downloads, verifies and parses it once a
// digest, and all share what was read.
//
// A chart is an archive as pkg/artifact/archive reads it, with limits on its size, the
// number of its files and the size of each; archives of subcharts within it count too.
// What was read is never changed: actions of the Helm SDK get a copy of the parts that
// they change. A chart that nobody uses is kept while there is room, and that a digest is
// of no chart is remembered like one.
//
// Which chart to get, and what to do when it cannot be had, is the caller's to decide. After
// ErrNotFound and ErrDigest, the object that advertised the chart has probably changed; read
// it again. After ErrInvalid, only another chart can help.
package charts

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"

	"weir.dev/pkg/artifact/fetch"
)

// The limits that apply where Options have a zero. That of a file and that of all are those
// of the helm command.
const (
	defaultMaxDownload = 100 << 20
	defaultMaxUnpacked = 100 << 20
	defaultMaxFile     = 5 << 20
	defaultMaxFiles    = 20_000
	defaultIdle        = 48 << 20
)

// sizeOfFailure is how much room the knowledge takes that a digest is of no chart.
const sizeOfFailure = 4 << 10

var (
	// ErrNotFound is wrapped when the server does not have the chart.
	ErrNotFound = fetch.ErrNotFound

	// ErrDigest is wrapped when the server has something else under the URL.
	ErrDigest = fetch.ErrDigestMismatch

	// ErrInvalid is wrapped by errors that say what keeps an artifact from being a chart,
	// and in which file.
	ErrInvalid = errors.New("not a usable chart")
)

// Options bound what a Cache reads and keeps.
type Options struct {
	MaxUnpacked int64 // bytes of the files of a chart, subcharts included; 0 means 100 MiB
	MaxFile     int64 // bytes of one file; 0 means 5 MiB
	MaxFiles    int   // files of a chart, subcharts included; 0 means 20,000
	Idle        int64 // bytes of charts that nobody uses; 0 means 48 MiB, negative means none
}

func (o Options) withDefaults() Options {
	if o.MaxUnpacked <= 0 {
		o.MaxUnpacked = defaultMaxUnpacked
	}
	if o.MaxFile <= 0 {
		o.MaxFile = defaultMaxFile
	}
	if o.MaxFiles <= 0 {
		o.MaxFiles = defaultMaxFiles
	}
	if o.Idle == 0 {
		o.Idle = defaultIdle
	}
	return o
}

// Limit returns opts for a fetch.Cache that serves nothing but a Cache of charts: with the
// limits of charts where it has none, and without unused trees, which would be charts that
// were read already.
func Limit(opts fetch.Options) fetch.Options {
	if opts.MaxDownload == 0 {
		opts.MaxDownload = defaultMaxDownload
	}
	if opts.MaxUnpacked == 0 {
		opts.MaxUnpacked = defaultMaxUnpacked
	}
	if opts.MaxFiles == 0 {
		opts.MaxFiles = defaultMaxFiles
	}
	opts.Idle = -1
	return opts
}

// Stats count what a Cache did since it was made.
type Stats struct {
	Parses    int64 // charts that were read, usable or not
	Hits      int64 // Gets that had nothing read of their own
	Evictions int64 // charts removed because others were used more recently
	Charts    int   // charts there are now, in use or not
	Bytes     int64 // of the files of charts that nobody uses
}

// Cache holds the charts of one process. Its methods may be called at the same time.
type Cache struct {
	opts  Options
	files *fetch.Cache

	mu      sync.Mutex
	entries map[string]*entry // by digest
	idle    list.List         // of *entry, most recently used first
	stats   Stats
}

// entry is one digest: on its way, or read. What is below done is set before that is closed.
type entry struct {
	digest string
	url    string
	cancel context.CancelFunc
	users  int           // Gets that wait for it, and Charts that were handed out
	idle   *list.Element // while there are no users
	done   chan struct{}
	loaded *loaded
	err    error
}

// New returns a Cache of what files fetches; see Limit.
func New(files *fetch.Cache, opts Options) *Cache {
	return &Cache{opts: opts.withDefaults(), files: files, entries: make(map[string]*entry)}
}

// Get returns the chart with the given digest, which the server has under the URL. The
// caller must Release it.
//
// A download that others wait for goes on when ctx ends, and ends with the last who waits.
func (c *Cache) Get(ctx context.Context, url, digest string) (*Chart, error) {
	for {
		e := c.join(ctx, url, digest)
		select {
		case <-e.done:
		case <-ctx.Done():
			c.leave(e)
			return nil, fmt.Errorf("fetching chart: %w", context.Cause(ctx))
		}
		if e.err == nil {
			return &Chart{loaded: e.loaded, release: func() { c.leave(e) }}, nil
		}
		c.leave(e)
		if e.url == url || errors.Is(e.err, ErrInvalid) {
			return nil, e.err
		}
		// Somebody else asked another server for this digest. Ask ours.
	}
}

// Stats returns what the cache did until now.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	for _, e := range c.entries {
		if e.loaded != nil {
			s.Charts++
		}
	}
	return s
}

// join returns the entry of a digest, with the caller counted among its users, and has it
// read if there is none.
func (c *Cache) join(ctx context.Context, url, digest string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[digest]; e != nil {
		e.users++
		c.stats.Hits++
		if e.idle != nil {
			c.idle.Remove(e.idle)
			e.idle = nil
			c.stats.Bytes -= e.size()
		}
		return e
	}
	e := &entry{digest: digest, url: url, users: 1, done: make(chan struct{})}
	c.entries[digest] = e
	ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go c.read(ctx, e)
	return e
}

// read fetches and reads a chart for as long as somebody waits.
func (c *Cache) read(ctx context.Context, e *entry) {
	defer e.cancel()
	got, parsed, err := c.load(ctx, e.url, e.digest)

	c.mu.Lock()
	defer c.mu.Unlock()
	if parsed {
		c.stats.Parses++
	}
	if err != nil && !errors.Is(err, ErrInvalid) && c.entries[e.digest] == e {
		delete(c.entries, e.digest)
	}
	e.loaded, e.err = got, err
	close(e.done)
}

// load fetches and reads a chart, and reports whether there was something to read.
func (c *Cache) load(ctx context.Context, url, digest string) (got *loaded, parsed bool, err error) {
	tree, err := c.files.Get(ctx, url, digest)
	if errors.Is(err, fetch.ErrTooLarge) || errors.Is(err, fetch.ErrCorrupt) {
		return nil, false, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err != nil {
		return nil, false, err
	}
	defer tree.Release()
	if got, err = load(tree, c.opts); err != nil {
		return nil, true, err
	}
	got.digest = digest
	return got, true, nil
}

// leave ends one use of an entry. What is on its way ends with its last user; a chart
// without users becomes idle.
func (c *Cache) leave(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.users--; e.users > 0 || c.entries[e.digest] != e {
		return
	}
	select {
	case <-e.done:
	default:
		delete(c.entries, e.digest)
		e.cancel()
		return
	}
	e.idle = c.idle.PushFront(e)
	c.stats.Bytes += e.size()
	for c.stats.Bytes > max(0, c.opts.Idle) {
		oldest, _ := c.idle.Remove(c.idle.Back()).(*entry)
		delete(c.entries, oldest.digest)
		c.stats.Bytes -= oldest.size()
		c.stats.Evictions++
	}
}

// size is how much room what was read takes.
func (e *entry) size() int64 {
	if e.loaded == nil {
		return sizeOfFailure
	}
	return e.loaded.size
}
