package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	// maxPacks is how many fetches a store takes up before it is begun anew:
	// each adds a pack, and looking up an object asks every pack.
	maxPacks = 64
	// maxHaves bounds how many commits are offered to the remote.
	maxHaves = 32
	// fetched is where the store keeps a ref to every commit that it has whole.
	fetched = "refs/fetched/"
)

// Stores keeps one Store for each remote, under one directory.
type Stores struct {
	dir string

	mu   sync.Mutex
	open map[string]*Store
}

// OpenStores returns the stores in dir, which is created if need be.
func OpenStores(dir string) (*Stores, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening git stores: %w", err)
	}
	return &Stores{dir: dir, open: make(map[string]*Store)}, nil
}

// For returns the store of a remote. Remotes of one URL and the same credentials
// share it; nobody else does.
func (s *Stores) For(r *Remote) *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := r.Key()
	store, ok := s.open[key]
	if !ok {
		store = &Store{dir: filepath.Join(s.dir, key)}
		s.open[key] = store
	}
	return store
}

// Sweep removes the stores that nobody has used since the given time. They are
// caches: the next fetch begins anew.
func (s *Stores) Sweep(unusedSince time.Time) (removed int, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		s.mu.Lock()
		store, ok := s.open[e.Name()]
		if !ok {
			store = &Store{dir: filepath.Join(s.dir, e.Name())}
			s.open[e.Name()] = store
		}
		s.mu.Unlock()
		gone, sweepErr := store.removeUnused(unusedSince)
		if gone {
			removed++
		}
		err = errors.Join(err, sweepErr)
	}
	return removed, err
}

// Store is a bare object store of one remote on disk. It is safe for concurrent
// use: fetches happen one after the other, and reading never waits.
type Store struct {
	dir string
	mu  sync.Mutex
}

// Snapshot is one commit with its whole tree, and no history.
type Snapshot struct {
	Commit *object.Commit
	tree   *object.Tree
	store  *filesystem.Storage
}

// Fetch returns the snapshot of a target. If the store has it, the remote is not
// asked; otherwise only what the store lacks is transferred. A store that turns
// out to be damaged is begun anew.
func (s *Store) Fetch(ctx context.Context, conn *Conn, t Target) (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot, err := s.fetch(ctx, conn, t)
	if err == nil || ctx.Err() != nil || !errors.Is(err, ErrDamaged) {
		return snapshot, err
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return nil, fmt.Errorf("removing damaged store: %w", err)
	}
	return s.fetch(ctx, conn, t)
}

// Discard removes all objects, so that the next fetch begins anew.
func (s *Store) Discard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return os.RemoveAll(s.dir)
}

// Has returns the snapshot of a commit that was fetched before.
func (s *Store) Has(commit plumbing.Hash) (*Snapshot, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := os.Stat(s.dir); err != nil {
		return nil, false
	}
	st := s.storage()
	if _, err := st.Reference(fetchedRef(commit)); err != nil {
		return nil, false
	}
	snapshot, err := open(st, commit)
	return snapshot, err == nil
}

// fetch brings the store up to date with t and opens its snapshot.
func (s *Store) fetch(ctx context.Context, conn *Conn, t Target) (*Snapshot, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	st := s.storage()
	if _, err := st.Reference(fetchedRef(t.Commit)); err == nil {
		return open(st, t.Commit)
	}
	req, err := request(st, conn.Refs, t)
	if err != nil {
		return nil, err
	}
	if err := conn.receive(ctx, st, req); err != nil {
		return nil, err
	}
	st = s.storage() // sees the new pack
	snapshot, err := open(st, t.Commit)
	if err != nil {
		if t.Unadvertised {
			return nil, fmt.Errorf("commit %s is not in the history of %s: %w", t.Commit, orAllBranches(t.Label), ErrNoRef)
		}
		return nil, err
	}
	// Only now is the commit known to be here, so that a kill before this line
	// costs a second fetch and nothing else.
	if err := st.SetReference(plumbing.NewHashReference(fetchedRef(t.Commit), t.Commit)); err != nil {
		return nil, fmt.Errorf("recording fetched commit: %w", err)
	}
	return snapshot, nil
}

// prepare makes the directory of the store, marks it as in use, and begins it
// anew if it has grown too many packs.
func (s *Store) prepare() error {
	packs, err := filepath.Glob(filepath.Join(s.dir, "objects", "pack", "*.pack"))
	if err != nil {
		return err
	}
	if len(packs) >= maxPacks {
		if err := os.RemoveAll(s.dir); err != nil {
			return fmt.Errorf("compacting store: %w", err)
		}
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("opening store: %w", err)
	}
	now := time.Now()
	return os.Chtimes(s.dir, now, now)
}

// removeUnused deletes the store if it was last used before the given time.
func (s *Store) removeUnused(since time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.dir)
	if err != nil || !info.ModTime().Before(since) {
		return false, ignoreMissing(err)
	}
	return true, os.RemoveAll(s.dir)
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// storage opens the object store. It sees what is on disk now.
func (s *Store) storage() *filesystem.Storage {
	return filesystem.NewStorageWithOptions(osfs.New(s.dir, osfs.WithBoundOS()), cache.NewObjectLRUDefault(), filesystem.Options{
		KeepDescriptors: false,
		ExclusiveAccess: true, // the lock of Store sees to that
	})
}

// open reads a commit and its root tree.
func open(st *filesystem.Storage, hash plumbing.Hash) (*Snapshot, error) {
	commit, err := object.GetCommit(st, hash)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w: %w", hash, ErrDamaged, err)
	}
	tree, err := commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("tree of commit %s: %w: %w", hash, ErrDamaged, err)
	}
	return &Snapshot{Commit: commit, tree: tree, store: st}, nil
}

// request asks for one target with what the store has. A shallow fetch at every
// time keeps history out, and lets the server know where ours ends, so that it
// does not count on objects of commits that we never had.
func request(st *filesystem.Storage, refs Refs, t Target) (*packp.UploadPackRequest, error) {
	req := packp.NewUploadPackRequest()
	set := func(name capability.Capability, values ...string) error { return req.Capabilities.Set(name, values...) }
	var err error
	if refs.server.sideband != "" {
		err = errors.Join(err, set(refs.server.sideband))
	}
	if refs.server.ofsDelta {
		err = errors.Join(err, set(capability.OFSDelta))
	}
	if err != nil {
		return nil, fmt.Errorf("preparing request: %w", err)
	}
	if t.Unadvertised && !refs.server.reachable {
		return withHistory(req, refs, t)
	}
	req.Wants = []plumbing.Hash{t.Want}
	if !refs.server.shallow {
		// History and all: the server offers nothing else.
		req.Haves, err = haves(st)
		return req, err
	}
	if err := set(capability.Shallow); err != nil {
		return nil, fmt.Errorf("preparing request: %w", err)
	}
	req.Depth = packp.DepthCommits(1)
	if req.Shallows, err = st.Shallow(); err != nil {
		return nil, fmt.Errorf("reading shallow commits: %w: %w", ErrDamaged, err)
	}
	req.Haves, err = haves(st)
	return req, err
}

// withHistory asks for the history of the branch, or of all branches, in order to
// get a commit that the server hands out in no other way.
func withHistory(req *packp.UploadPackRequest, refs Refs, t Target) (*packp.UploadPackRequest, error) {
	for name, hash := range refs.hashes {
		if name.IsBranch() && (t.Label == "" || name.Short() == t.Label) && !slices.Contains(req.Wants, hash) {
			req.Wants = append(req.Wants, hash)
		}
	}
	if len(req.Wants) == 0 {
		return nil, fmt.Errorf("commit %s: %w: the remote has no branch to look on", t.Commit, ErrNoRef)
	}
	return req, nil
}

func orAllBranches(branch string) string {
	if branch == "" {
		return "any branch"
	}
	return fmt.Sprintf("branch %q", branch)
}

// haves returns the newest of the commits that the store has whole.
func haves(st *filesystem.Storage) ([]plumbing.Hash, error) {
	refs, err := st.IterReferences()
	if err != nil {
		return nil, fmt.Errorf("reading refs: %w: %w", ErrDamaged, err)
	}
	var commits []*object.Commit
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() != plumbing.HashReference {
			return nil
		}
		commit, err := object.GetCommit(st, ref.Hash())
		if err != nil {
			return fmt.Errorf("fetched commit %s: %w: %w", ref.Hash(), ErrDamaged, err)
		}
		commits = append(commits, commit)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(commits, func(a, b *object.Commit) int { return b.Committer.When.Compare(a.Committer.When) })
	var out []plumbing.Hash
	for _, c := range commits[:min(len(commits), maxHaves)] {
		out = append(out, c.Hash)
	}
	return out, nil
}

// receive sends the request and stores the pack that comes back.
func (c *Conn) receive(ctx context.Context, st *filesystem.Storage, req *packp.UploadPackRequest) error {
	body, err := encode(req)
	if err != nil {
		return err
	}
	raw, err := c.request(ctx, body)
	if err != nil {
		return timely(ctx, err)
	}
	res := packp.NewUploadPackResponse(req)
	defer raw.Close()
	if err := res.Decode(buffered(raw)); err != nil {
		return timely(ctx, fmt.Errorf("%w: %w", ErrProtocol, err))
	}
	if err := packfile.UpdateObjectStorage(st, c.pack(res, req)); err != nil {
		if errors.Is(err, ErrTooLarge) {
			return err
		}
		return timely(ctx, fmt.Errorf("%w: reading pack: %w", ErrProtocol, err))
	}
	if len(res.Shallows)+len(res.Unshallows) == 0 {
		return nil
	}
	shallows := slices.DeleteFunc(append(req.Shallows, res.Shallows...), func(h plumbing.Hash) bool {
		return slices.Contains(res.Unshallows, h)
	})
	slices.SortFunc(shallows, func(a, b plumbing.Hash) int { return slices.Compare(a[:], b[:]) })
	if err := st.SetShallow(slices.Compact(shallows)); err != nil {
		return fmt.Errorf("recording shallow commits: %w", err)
	}
	return nil
}

// pack is the stream of pack bytes in a response.
func (c *Conn) pack(res *packp.UploadPackResponse, req *packp.UploadPackRequest) io.Reader {
	var r io.Reader = res
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		r = sideband.NewDemuxer(sideband.Sideband64k, res)
	case req.Capabilities.Supports(capability.Sideband):
		r = sideband.NewDemuxer(sideband.Sideband, res)
	}
	return &limitReader{r: r, left: c.limits.pack(), limit: c.limits.pack(), what: "pack"}
}

// timely says that the time was up rather than what broke because of it.
func timely(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("the remote did not finish in time: %w", cause)
	}
	return err
}

func fetchedRef(commit plumbing.Hash) plumbing.ReferenceName {
	return plumbing.ReferenceName(fetched + commit.String())
}
