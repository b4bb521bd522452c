package gitserver

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	gogit "github.com/go-git/go-git/v5/plumbing/transport/server"
)

// native speaks through go-git.
type native struct{ log *log.Logger }

func (n native) overHTTP(w http.ResponseWriter, r *http.Request, x exchange) {
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	repo := openStore(x.repo.path())
	if r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "application/x-"+string(x.service)+"-advertisement")
		if err := advertise(w, repo, x.service, true); err != nil {
			n.abort(x, err)
		}
		return
	}
	if r.Header.Get("Content-Type") != "application/x-"+string(x.service)+"-request" {
		http.Error(w, "unsupported content type", http.StatusUnsupportedMediaType)
		return
	}
	body, err := unzipped(r)
	if err != nil {
		http.Error(w, "the body is not gzip", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-"+string(x.service)+"-result")
	if err := answer(r.Context(), repo, x.service, body, w, true); err != nil {
		n.abort(x, err)
	}
}

// abort ends a connection on which an answer has begun that cannot be completed.
func (n native) abort(x exchange, err error) {
	n.log.Printf("%s of %q: %v", x.service, x.repo.name, err)
	panic(http.ErrAbortHandler)
}

func unzipped(r *http.Request) (io.Reader, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return r.Body, nil
	}
	return gzip.NewReader(r.Body)
}

func (n native) overStreams(ctx context.Context, x exchange, s streams) error {
	repo := openStore(x.repo.path())
	if err := advertise(s.out, repo, x.service, false); err != nil {
		return err
	}
	return answer(ctx, repo, x.service, s.in, s.out, false)
}

// advertise writes the refs and what the server can do.
func advertise(w io.Writer, repo *store, asked service, overHTTP bool) error {
	refs, err := advertisement(repo, asked)
	if err != nil {
		return fmt.Errorf("listing refs: %w", err)
	}
	if overHTTP {
		refs.Prefix = [][]byte{[]byte("# service=" + string(asked)), pktline.Flush}
	}
	return refs.Encode(w)
}

func advertisement(repo *store, asked service) (*packp.AdvRefs, error) {
	transport := gogit.NewServer(loader{repo})
	if asked == receivePack {
		session, err := transport.NewReceivePackSession(nil, nil)
		if err != nil {
			return nil, err
		}
		refs, err := session.AdvertisedReferences()
		if err != nil {
			return nil, err
		}
		refs.Head = nil // what is pushed to is a branch
		if repo.takesOptions() {
			if err := refs.Capabilities.Set(capability.PushOptions); err != nil {
				return nil, err
			}
		}
		// go-git does not complete packs that leave out what is here already.
		return refs, refs.Capabilities.Set("no-thin")
	}
	session, err := transport.NewUploadPackSession(nil, nil)
	if err != nil {
		return nil, err
	}
	refs, err := session.AdvertisedReferences()
	if err != nil {
		return nil, err
	}
	for _, able := range []capability.Capability{capability.AllowTipSHA1InWant, capability.AllowReachableSHA1InWant} {
		if err := refs.Capabilities.Set(able); err != nil {
			return nil, err
		}
	}
	for name, hash := range refs.References {
		if tag, err := object.GetTag(repo, hash); err == nil {
			refs.Peeled[name] = tag.Target
		}
	}
	return refs, nil
}

// loader hands one repository to go-git's server.
type loader struct{ repo storer.Storer }

func (l loader) Load(*transport.Endpoint) (storer.Storer, error) { return l.repo, nil }

// answer reads what the client wants and does it.
func answer(ctx context.Context, repo *store, asked service, in io.Reader, out io.Writer, stateless bool) error {
	buffered := bufio.NewReader(in)
	if first, err := buffered.Peek(len(pktline.FlushPkt)); err != nil || bytes.Equal(first, pktline.FlushPkt) {
		return nil // it wanted to see the refs
	}
	if asked == receivePack {
		return receive(ctx, repo, buffered, out)
	}
	return upload(ctx, repo, buffered, out, stateless)
}

// upload sends a pack.
func upload(ctx context.Context, repo *store, in io.Reader, out io.Writer, stateless bool) error {
	req := packp.NewUploadPackRequest()
	if err := req.Decode(in); err != nil {
		return refuse(out, "malformed request")
	}
	if len(req.Shallows) > 0 || !req.Depth.IsZero() {
		return refuse(out, "this server has no shallow fetches")
	}
	for _, want := range req.Wants {
		if repo.HasEncodedObject(want) != nil {
			return refuse(out, "not our ref "+want.String())
		}
	}
	common, done, err := negotiate(repo, in, out, stateless)
	if err != nil || !done {
		return err
	}
	req.Haves = common
	if req.IsEmpty() {
		return refuse(out, "the client has everything that it wants")
	}
	// What else a client may have echoed does not change the pack.
	req.Capabilities = capability.NewList()
	session, err := gogit.NewServer(loader{repo}).NewUploadPackSession(nil, nil)
	if err != nil {
		return err
	}
	pack, err := session.UploadPack(ctx, req)
	if err != nil {
		return fmt.Errorf("making pack: %w", err)
	}
	_, err = io.Copy(out, pack)
	return errors.Join(err, pack.Close())
}

// negotiate returns which of the client's objects are here too. The client is done
// when it wants the pack; over HTTP, it may first want to know what is common, in a
// request of its own.
func negotiate(repo *store, in io.Reader, out io.Writer, stateless bool) (common []plumbing.Hash, done bool, err error) {
	lines, answers := pktline.NewScanner(in), pktline.NewEncoder(out)
	for lines.Scan() {
		line := string(bytes.TrimSuffix(lines.Bytes(), []byte("\n")))
		switch {
		case line == "done":
			if len(common) == 0 {
				err = answers.EncodeString("NAK\n")
			}
			return common, true, err
		case line == "":
			if len(common) == 0 {
				err = answers.EncodeString("NAK\n")
			}
			if stateless || err != nil {
				return nil, false, err
			}
		case len(line) > len("have ") && line[:len("have ")] == "have ":
			have := plumbing.NewHash(line[len("have "):])
			if repo.HasEncodedObject(have) != nil {
				continue
			}
			common = append(common, have)
			if len(common) > 1 {
				continue // the protocol has but one answer to all of them
			}
			if err := answers.Encodef("ACK %s\n", have); err != nil {
				return nil, false, err
			}
		default:
			return nil, false, refuse(out, "unexpected line")
		}
	}
	return nil, false, lines.Err()
}

// refuse tells a client why there is no pack.
func refuse(out io.Writer, why string) error {
	return pktline.NewEncoder(out).Encodef("ERR upload-pack: %s\n", why)
}

// receive takes a push.
func receive(ctx context.Context, repo *store, in io.Reader, out io.Writer) error {
	req := packp.NewReferenceUpdateRequest()
	if err := req.Decode(in); err != nil {
		return fmt.Errorf("reading push: %w", err)
	}
	options, err := readOptions(req, in)
	if err != nil {
		return fmt.Errorf("reading push options: %w", err)
	}
	report := packp.NewReportStatus()
	report.UnpackStatus = "ok"
	if err := unpack(repo, req); err != nil {
		report.UnpackStatus = "the pack is unreadable"
	}
	for _, cmd := range req.Commands {
		status := &packp.CommandStatus{ReferenceName: cmd.Name, Status: "ok"}
		if report.UnpackStatus != "ok" {
			status.Status = "unpacker error"
		} else if err := update(ctx, repo, cmd); err != nil {
			status.Status = err.Error()
		}
		report.CommandStatuses = append(report.CommandStatuses, status)
	}
	if err := repo.recordOptions(options); err != nil {
		return fmt.Errorf("recording push options: %w", err)
	}
	if !req.Capabilities.Supports(capability.ReportStatus) {
		return nil
	}
	return report.Encode(out)
}

// unpack stores the objects of a push, unless it only deletes.
func unpack(repo *store, req *packp.ReferenceUpdateRequest) error {
	for _, cmd := range req.Commands {
		if cmd.Action() == packp.Delete {
			continue
		}
		err := packfile.UpdateObjectStorage(repo, req.Packfile)
		if errors.Is(err, packfile.ErrEmptyPackfile) {
			return nil // everything is here already
		}
		return err
	}
	return nil
}

// update moves one ref of a push. Its errors are told to the client.
func update(ctx context.Context, repo *store, cmd *packp.Command) error {
	if err := checkRef(cmd.Name); err != nil {
		return errors.New("funny refname")
	}
	if err := repo.protected(cmd.Name); err != nil {
		return err
	}
	if !cmd.New.IsZero() && repo.HasEncodedObject(cmd.New) != nil {
		return errors.New("missing necessary objects")
	}
	switch err := repo.swap(ctx, cmd.Name, exactly(cmd.Old), cmd.New); {
	case errors.Is(err, errMoved):
		return errors.New("stale info")
	case err != nil:
		return errors.New("failed to update ref")
	}
	return nil
}
