package fetch

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"weir.dev/pkg/artifact"
	"weir.dev/pkg/artifact/archive"
)

const (
	defaultIdle    = 16
	defaultRetries = 9
	defaultBackoff = 250 * time.Millisecond
	defaultStall   = 30 * time.Second
	maxBackoff     = 30 * time.Second
)

// treePattern names the files in the cache's directory.
const treePattern = "tree-*"

var (
	// ErrNotFound is wrapped when the server does not have the artifact.
	ErrNotFound = errors.New("artifact not found")

	// ErrDigestMismatch is wrapped when the server has something else under the URL.
	ErrDigestMismatch = errors.New("artifact does not match its digest")

	// ErrTooLarge is wrapped when the artifact exceeds one of the limits.
	ErrTooLarge = artifact.ErrTooLarge

	// ErrCorrupt is wrapped when the artifact is as published, but is no archive that can be used.
	ErrCorrupt = archive.ErrCorrupt
)

// errClosed is returned by a cache that was closed.
var errClosed = errors.New("artifact cache is closed")

// Options bound what a Cache takes and keeps. All but Dir may be left zero.
type Options struct {
	Dir         string         // this cache's own; made if it is missing, and emptied of old trees
	MaxDownload int64          // compressed bytes; 0 means 1 GiB, negative means no limit
	MaxUnpacked int64          // bytes of all files; 0 means 2 GiB, negative means no limit
	MaxFiles    int            // files and directories; 0 means 500,000, negative means no limit
	Idle        int            // unused trees to keep; 0 means 16, negative means none
	Retries     int            // after a failed connection or a server error; 0 means 9, negative means none
	Backoff     time.Duration  // before the first retry, doubled for each further one up to 30s; 0 means 250ms
	Stall       time.Duration  // longest silence of a server; 0 means 30s
	Client      *http.Client   // nil means one of its own
	Rewrite     func(*url.URL) // changes where to connect to, say to reach a cluster from outside; may be nil
}

// Stats count what a Cache did since it was made.
type Stats struct {
	Requests  int64 // HTTP requests, retries included
	Downloads int64 // artifacts that were downloaded, verified and unpacked
	Bytes     int64 // compressed bytes received, failed attempts included
	Hits      int64 // Gets that needed no download of their own
	Evictions int64 // trees removed because others were used more recently
	Trees     int   // trees there are now, in use or not
	Unpacked  int64 // their bytes on disk
}

// Cache holds the trees of one process. Its methods may be called at the same time.
type Cache struct {
	opts    Options
	client  http.Client
	flights sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	entries map[artifact.Digest]*entry
	idle    list.List // of *entry, most recently used first
	stats   Stats
}

// entry is one digest: on its way, or unpacked. What is below done is set before that is closed.
type entry struct {
	digest artifact.Digest
	url    string
	cancel context.CancelCauseFunc
	users  int           // Gets that wait for it, and Trees that were handed out
	idle   *list.Element // while there are no users
	done   chan struct{}
	tree   *contents
	err    error
}

// New returns a cache in opts.Dir.
func New(opts Options) (*Cache, error) {
	if opts.Dir == "" {
		return nil, errors.New("no directory for artifacts is set")
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory for artifacts: %w", err)
	}
	old, err := filepath.Glob(filepath.Join(opts.Dir, treePattern))
	if err != nil {
		return nil, fmt.Errorf("emptying the directory for artifacts: %w", err)
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return nil, fmt.Errorf("emptying the directory for artifacts: %w", err)
		}
	}
	opts = opts.withDefaults()
	return &Cache{opts: opts, client: newClient(opts.Client), entries: make(map[artifact.Digest]*entry)}, nil
}

func (o Options) withDefaults() Options {
	if o.MaxDownload == 0 {
		o.MaxDownload = archive.DefaultMaxSize
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = archive.DefaultMaxFiles
	}
	if o.Idle == 0 {
		o.Idle = defaultIdle
	}
	if o.Retries == 0 {
		o.Retries = defaultRetries
	}
	if o.Backoff <= 0 {
		o.Backoff = defaultBackoff
	}
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	return o
}

// Get returns the tree of the artifact with the given digest, which the server has under the URL.
// The caller must Release the tree.
//
// A download that others wait for goes on when ctx ends, and ends with the last who waits.
func (c *Cache) Get(ctx context.Context, rawURL, digest string) (*Tree, error) {
	want, err := artifact.ParseDigest(digest)
	if err != nil {
		return nil, fmt.Errorf("fetching artifact: %w", err)
	}
	from, err := c.parseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("fetching artifact: %w", err)
	}
	for {
		e, err := c.join(ctx, from, want)
		if err != nil {
			return nil, err
		}
		select {
		case <-e.done:
		case <-ctx.Done():
			c.leave(e)
			return nil, fmt.Errorf("fetching %s: %w", shown(from), context.Cause(ctx))
		}
		if e.err == nil {
			return &Tree{contents: e.tree, release: func() { c.leave(e) }}, nil
		}
		c.leave(e)
		if e.url == from.String() {
			return nil, fmt.Errorf("fetching %s: %w", shown(from), e.err)
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
		if e.tree != nil {
			s.Trees++
			s.Unpacked += e.tree.size
		}
	}
	return s
}

// Close ends downloads and removes all trees, also those that are in use: reading from them fails.
func (c *Cache) Close() error {
	c.mu.Lock()
	c.closed = true
	var drop []*contents
	for _, e := range c.entries {
		e.cancel(errClosed)
		if e.tree != nil {
			drop = append(drop, e.tree)
		}
	}
	clear(c.entries)
	c.idle.Init()
	c.mu.Unlock()

	c.flights.Wait()
	return dropAll(drop)
}

// join returns the entry of a digest, with the caller counted among its users, and starts the
// download if there is none.
func (c *Cache) join(ctx context.Context, from *url.URL, digest artifact.Digest) (*entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	if e := c.entries[digest]; e != nil {
		e.users++
		c.stats.Hits++
		if e.idle != nil {
			c.idle.Remove(e.idle)
			e.idle = nil
		}
		return e, nil
	}
	e := &entry{digest: digest, url: from.String(), users: 1, done: make(chan struct{})}
	c.entries[digest] = e
	ctx, e.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	c.flights.Go(func() { c.fly(ctx, e, from) })
	return e, nil
}

// fly downloads for as long as somebody waits.
func (c *Cache) fly(ctx context.Context, e *entry, from *url.URL) {
	defer e.cancel(nil)
	tree, err := c.download(ctx, from, e.digest)

	c.mu.Lock()
	wanted := c.entries[e.digest] == e
	switch {
	case err != nil && wanted:
		delete(c.entries, e.digest)
	case err == nil && wanted:
		c.stats.Downloads++
	case err == nil: // everybody left, or the cache was closed, at the last moment
		defer func() { _ = tree.drop() }() // nothing depends on whether it could be removed
		tree, err = nil, errClosed
	}
	e.tree, e.err = tree, err
	close(e.done)
	c.mu.Unlock()
}

// leave ends one use of an entry. A download without users ends; a tree without users becomes
// idle.
func (c *Cache) leave(e *entry) {
	_ = dropAll(c.unuse(e)) // nothing depends on whether a cached file could be removed
}

// unuse returns the trees that are to be dropped then. That may take a while, so it is not done
// under the lock.
func (c *Cache) unuse(e *entry) (drop []*contents) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.users--; e.users > 0 || c.entries[e.digest] != e {
		return nil
	}
	if e.tree == nil {
		delete(c.entries, e.digest)
		e.cancel(nil)
		return nil
	}
	e.idle = c.idle.PushFront(e)
	for c.idle.Len() > max(0, c.opts.Idle) {
		oldest, _ := c.idle.Remove(c.idle.Back()).(*entry)
		delete(c.entries, oldest.digest)
		c.stats.Evictions++
		drop = append(drop, oldest.tree)
	}
	return drop
}

func dropAll(trees []*contents) error {
	var errs []error
	for _, t := range trees {
		errs = append(errs, t.drop())
	}
	return errors.Join(errs...)
}
