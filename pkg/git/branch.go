package git

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

const (
	// deepest is a depth that no history has. The largest number means another thing.
	deepest = 1 << 30
	// maxBoundaries bounds the answer to a question about a history, in bytes.
	maxBoundaries = 1 << 20
)

// checkBranch checks that a commit is in the history of the branch that goes with it,
// without the history: the remote is told that the commit is where our history ends, and
// asked how to deepen that of the branch. It answers that history does not end there any
// more, if it comes by. No pack is asked for, so none is made.
//
// Where the remote knows of no shallow histories, it is only checked what is fetched.
func checkBranch(ctx context.Context, conn *Conn, t Target) error {
	if !t.Unadvertised || t.Label == "" || !conn.Refs.server.shallow {
		return nil
	}
	tip, ok := conn.Refs.hashes[plumbing.NewBranchReferenceName(t.Label)]
	if !ok {
		return fmt.Errorf("branch %q: %w", t.Label, ErrNoRef)
	}
	req := packp.NewUploadRequest()
	if err := req.Capabilities.Set(capability.Shallow); err != nil {
		return fmt.Errorf("preparing request: %w", err)
	}
	req.Wants, req.Shallows, req.Depth = []plumbing.Hash{tip}, []plumbing.Hash{t.Commit}, packp.DepthCommits(deepest)
	var body bytes.Buffer
	if err := req.Encode(&body); err != nil {
		return fmt.Errorf("encoding request: %w", err)
	}
	body.Write(pktline.FlushPkt) // the end of what we have, which is nothing
	answer, err := conn.ask(ctx, body.Bytes())
	if err != nil {
		return err
	}
	if !slices.Contains(answer.Unshallows, t.Commit) {
		return notOnBranch(t)
	}
	return nil
}

func notOnBranch(t Target) error {
	return fmt.Errorf("commit %s is not in the history of %s: %w", t.Commit, orAllBranches(t.Label), ErrNoRef)
}

// ask asks where histories end. A connection that is good for one request is not used
// for that; there is another then.
func (c *Conn) ask(ctx context.Context, body []byte) (*packp.ShallowUpdate, error) {
	if c.once {
		other, err := c.again(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { _ = other.Close() }() // it was only read
		c = other
	}
	raw, err := c.request(ctx, body)
	if err != nil {
		return nil, timely(ctx, err)
	}
	defer raw.Close()
	var answer packp.ShallowUpdate
	if err := answer.Decode(&limitReader{r: raw, left: maxBoundaries, limit: maxBoundaries, what: "answer"}); err != nil {
		return nil, c.broken(ctx, err)
	}
	return &answer, nil
}
