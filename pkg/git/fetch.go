package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	// maxHaves bounds how many commits are offered to the remote.
	maxHaves = 32
	// fetched is where a store keeps a ref to every commit that it has whole.
	fetched = "refs/fetched/"
)

// fetch fetches a target that is not there yet, and opens its snapshot.
func (g generation) fetch(ctx context.Context, conn *Conn, t Target) (*Snapshot, error) {
	st := g.storage()
	if _, err := st.Reference(fetchedRef(t.Commit)); err == nil {
		return g.open(st, t.Commit)
	}
	req, err := request(st, conn.Refs, t)
	if err == nil {
		err = g.receive(ctx, conn, st, req)
	}
	if err != nil {
		return nil, errors.Join(err, st.Close(), g.tidy())
	}
	snapshot, err := g.open(st, t.Commit)
	switch {
	case errors.Is(err, ErrNoRef):
		return nil, err
	case err != nil && t.Unadvertised && !conn.Refs.server.reachable:
		return nil, notOnBranch(t)
	case err != nil && len(req.Haves) == 0:
		return nil, fmt.Errorf("%w: it did not send commit %s", ErrProtocol, t.Commit)
	case err != nil:
		return nil, err
	}
	// Only now is the commit known to be here, so that a kill before this line
	// costs a second fetch and nothing else.
	if err := g.write(fetched+t.Commit.String(), t.Commit.String()+"\n"); err != nil {
		return nil, fmt.Errorf("recording fetched commit: %w", err)
	}
	return snapshot, nil
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
	if refs.server.thin {
		// More than smaller deltas: to a shallow client, git sends again what it has,
		// unless the pack may be thin.
		err = errors.Join(err, set(capability.ThinPack))
	}
	if refs.server.quiet {
		err = errors.Join(err, set(capability.NoProgress))
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
func (g generation) receive(ctx context.Context, c *Conn, st *filesystem.Storage, req *packp.UploadPackRequest) error {
	body, err := encode(req)
	if err != nil {
		return err
	}
	if c.spent {
		return errors.New("the connection to the remote was used for a pack already")
	}
	c.spent = c.once
	raw, err := c.request(ctx, body)
	if err != nil {
		return timely(ctx, err)
	}
	defer raw.Close()
	limited := &limitReader{r: raw, left: c.limits.pack(), limit: c.limits.pack(), what: "pack"}
	res := packp.NewUploadPackResponse(req)
	if err := res.Decode(buffered(readCloser{Reader: limited, Closer: raw})); err != nil {
		return c.broken(ctx, err)
	}
	// What is here already may be all that is wanted: then the pack is empty.
	if err := g.storePack(st, pack(res, req), c.limits.object()); err != nil {
		return c.broken(ctx, fmt.Errorf("reading pack: %w", err))
	}
	if !c.once {
		drain(raw)
	}
	return g.recordShallow(req, res)
}

// recordShallow remembers which commits are here without their history.
func (g generation) recordShallow(req *packp.UploadPackRequest, res *packp.UploadPackResponse) error {
	if len(res.Shallows)+len(res.Unshallows) == 0 {
		return nil
	}
	shallows := slices.DeleteFunc(append(req.Shallows, res.Shallows...), func(h plumbing.Hash) bool {
		return slices.Contains(res.Unshallows, h)
	})
	return g.writeShallow(shallows)
}

// pack is the stream of pack bytes in a response.
func pack(res *packp.UploadPackResponse, req *packp.UploadPackRequest) io.Reader {
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, res)
	case req.Capabilities.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, res)
	default:
		return res
	}
}

// broken says why an answer cannot be used, without what a remote should not repeat.
func (c *Conn) broken(ctx context.Context, err error) error {
	var refused *pktline.ErrorLine
	var local *fs.PathError
	switch {
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrDamaged):
		return err
	case errors.As(err, &refused) && strings.Contains(refused.Text, "not our ref"):
		// git exports nothing to tell this from other refusals.
		return fmt.Errorf("%w: the remote says %q", ErrNoRef, c.remote.clean(refused.Text))
	case refused != nil:
		return c.remote.unusable("", err)
	case errors.As(err, &local):
		return fmt.Errorf("storing pack: %w", err)
	default:
		return timely(ctx, c.remote.unusable("", err))
	}
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
