package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

const (
	// maxVerdict bounds the answer to a push, with all that hooks print, in bytes.
	maxVerdict = 16 << 20
	// noThin is what a server says that wants packs whole.
	noThin = "no-thin"
)

// receiver is an open exchange with git-receive-pack.
type receiver struct {
	exchange
	remote *Remote
	seen   receiving
}

// receiving is what git-receive-pack begins with: where the refs are, and what it can do.
type receiving struct {
	refs map[plumbing.ReferenceName]plumbing.Hash
	able *capability.List
}

// dialReceiver opens an exchange for a push.
func (c *Client) dialReceiver(ctx context.Context, r *Remote) (*receiver, error) {
	to := &receiver{remote: r}
	var err error
	to.exchange, err = c.open(ctx, r, receivePack, func(in io.Reader) (err error) {
		to.seen, err = r.readReceiving(in, c.limits.refs())
		return err
	})
	if err != nil {
		return nil, err
	}
	return to, nil
}

// readReceiving decodes the advertisement of git-receive-pack. A repository may have no
// refs yet.
func (r *Remote) readReceiving(in io.Reader, limit int64) (receiving, error) {
	adv := packp.NewAdvRefs()
	err := adv.Decode(&limitReader{r: in, left: limit, what: "advertisement of refs", limit: limit})
	switch {
	case errors.Is(err, ErrTooLarge):
		return receiving{}, err
	case err != nil && !errors.Is(err, packp.ErrEmptyAdvRefs):
		return receiving{}, r.unusable("reading refs: ", err)
	}
	delete(adv.References, ".have") // commits of other repositories that are there too
	refs, err := r.byName(adv.References)
	if err != nil {
		return receiving{}, err
	}
	if !adv.Capabilities.Supports(capability.ReportStatus) {
		return receiving{}, fmt.Errorf("%w: it does not report what becomes of a push", ErrProtocol)
	}
	return receiving{refs: refs, able: adv.Capabilities}, nil
}

// compare returns the updates that are still to be made. The error is ErrMoved if a
// ref is neither where it was seen nor where it shall be.
func (to *receiver) compare(updates []RefUpdate) ([]RefUpdate, error) {
	var left []RefUpdate
	for _, u := range updates {
		switch at := to.seen.refs[u.Name]; at {
		case u.New:
		case u.Old:
			left = append(left, u)
		default:
			return nil, fmt.Errorf("%s: %q: %w: it was at %s, and is at %s", to.remote, u.Name, ErrMoved, orNowhere(u.Old), orNowhere(at))
		}
	}
	return left, nil
}

func orNowhere(hash plumbing.Hash) string {
	if hash.IsZero() {
		return "no commit"
	}
	return hash.String()
}

// push sends the draft and the updates, and reads what has become of them.
func (to *receiver) push(ctx context.Context, d *Draft, updates []RefUpdate, options []string) error {
	if len(options) > 0 && !to.seen.able.Supports(capability.PushOptions) {
		return fmt.Errorf("%s: %w", to.remote, ErrNoPushOptions)
	}
	body, banded, err := to.seen.encode(d, updates, options)
	if err != nil {
		return fmt.Errorf("encoding push: %w", err)
	}
	raw, err := to.request(ctx, body)
	if errors.Is(err, ErrUnauthorized) {
		return err
	}
	if err != nil {
		return &unsettled{err: timely(ctx, err)}
	}
	defer raw.Close()
	v, err := to.readVerdict(&limitReader{r: raw, left: maxVerdict, limit: maxVerdict, what: "answer"}, banded)
	if err != nil {
		return &unsettled{err: timely(ctx, to.explain(err))}
	}
	if !to.once {
		drain(raw)
	}
	return to.judge(v, updates)
}

// encode writes a whole push, and reports whether the answer will have side bands.
func (s receiving) encode(d *Draft, updates []RefUpdate, options []string) (body []byte, banded bool, err error) {
	wanted := []capability.Capability{capability.ReportStatus}
	use := func(c capability.Capability) bool {
		able := s.able.Supports(c)
		if able {
			wanted = append(wanted, c)
		}
		return able
	}
	banded = use(capability.Sideband64k)
	use(capability.Quiet)
	if len(updates) > 1 {
		use(capability.Atomic)
	}
	if len(options) > 0 {
		use(capability.PushOptions)
	}
	var out bytes.Buffer
	lines := pktline.NewEncoder(&out)
	for i, u := range updates {
		line := fmt.Sprintf("%s %s %s", u.Old, u.New, u.Name)
		if i == 0 {
			line += "\x00"
			for _, c := range wanted {
				line += " " + c.String()
			}
		}
		err = errors.Join(err, lines.EncodeString(line))
	}
	err = errors.Join(err, lines.Flush())
	if len(options) > 0 {
		err = errors.Join(err, lines.EncodeString(options...), lines.Flush())
	}
	var objects []piece
	if d != nil {
		objects = d.objects
	}
	err = errors.Join(err, writePieces(&out, objects, !s.able.Supports(noThin)))
	return out.Bytes(), banded, err
}

// judge turns what a remote says into an error, unless it has made all updates.
func (to *receiver) judge(v verdict, updates []RefUpdate) error {
	said := ""
	if v.said != "" {
		said = fmt.Sprintf("; it says %q", v.said)
	}
	if v.unpack != accepted {
		return &unsettled{err: fmt.Errorf("%s: %w: it does not take the objects: %q%s", to.remote, ErrRefused, to.remote.clean(v.unpack), said)}
	}
	var all []error
	stale := false
	for _, u := range updates {
		reason, ok := v.refs[u.Name]
		switch {
		case !ok:
			all = append(all, fmt.Errorf("%s: %q: %w: it does not say what became of it", to.remote, u.Name, ErrProtocol))
		case reason != accepted:
			all = append(all, fmt.Errorf("%s: %q: %w: %q%s", to.remote, u.Name, ErrRefused, to.remote.clean(reason), said))
			stale = stale || soundsStale(reason)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return &unsettled{err: errors.Join(all...), stale: stale}
}

// soundsStale reports whether a reason is one that servers give when a ref has moved.
func soundsStale(reason string) bool {
	return slices.ContainsFunc([]string{"stale info", "fetch first", "non-fast-forward", "failed to update ref", "cannot lock ref", "failed to lock"}, func(word string) bool {
		return bytes.Contains([]byte(reason), []byte(word))
	})
}
