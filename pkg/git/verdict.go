package git

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

// accepted is what a remote says of what it has done.
const accepted = "ok"

// verdict is what a remote says has become of a push.
type verdict struct {
	unpack string                            // of the objects: accepted, or why not
	refs   map[plumbing.ReferenceName]string // of each ref: accepted, or why not
	said   string                            // what hooks print, cleaned
}

// readVerdict reads the answer to a push, until the remote is done with it. Its errors
// quote the remote in a form that can be shown.
func (to *receiver) readVerdict(r io.Reader, banded bool) (verdict, error) {
	v := verdict{refs: make(map[plumbing.ReferenceName]string)}
	var said words
	if banded {
		r = &bands{lines: pktline.NewScanner(r), said: &said}
	}
	err := v.decode(pktline.NewScanner(r))
	if err == nil {
		// Hooks run after the report, too, and one that prints is cut off where nobody
		// listens any more. What became of the push is known, however this ends.
		_, _ = io.Copy(io.Discard, r)
	}
	v.said = to.remote.clean(said.String())
	var refused *pktline.ErrorLine
	var fatal *fatalError
	switch {
	case err == nil:
		return v, nil
	case errors.Is(err, ErrTooLarge):
		return v, err
	case errors.As(err, &refused):
		return v, fmt.Errorf("%s: %w: it says %q", to.remote, ErrProtocol, to.remote.clean(refused.Text))
	case errors.As(err, &fatal):
		return v, fmt.Errorf("%s: %w: it says %q", to.remote, ErrProtocol, to.remote.clean(said.String()+"\n"+fatal.text))
	case v.said != "":
		return v, fmt.Errorf("%s: %w: reading the answer to a push: %w; it says %q", to.remote, ErrProtocol, err, v.said)
	default:
		return v, fmt.Errorf("%s: %w: reading the answer to a push: %w", to.remote, ErrProtocol, err)
	}
}

// errMalformed: a line is not one of a report. It is not quoted.
var errMalformed = errors.New("malformed report")

// decode reads the report on a push.
func (v *verdict) decode(lines *pktline.Scanner) error {
	for lines.Scan() {
		line := strings.TrimSuffix(string(lines.Bytes()), "\n")
		kind, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" && v.unpack == "", rest == "" && line != "", (kind == "unpack") != (v.unpack == "") && line != "":
			return errMalformed
		case line == "":
			return nil
		case kind == "unpack":
			v.unpack = rest
		case kind == "ok":
			v.refs[plumbing.ReferenceName(rest)] = accepted
		case kind == "ng":
			name, reason, _ := strings.Cut(rest, " ")
			if reason == "" || reason == accepted {
				reason = "no reason is given"
			}
			v.refs[plumbing.ReferenceName(name)] = reason
		default:
			return errMalformed
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// bands is the answer that comes in side bands. What is in the one for people is
// collected on the way.
type bands struct {
	lines *pktline.Scanner
	rest  []byte
	said  *words
}

// fatalError is what a remote says before it hangs up.
type fatalError struct{ text string }

func (e *fatalError) Error() string { return "the remote gives up" }

func (b *bands) Read(p []byte) (int, error) {
	const answer, people, fatal = 1, 2, 3
	for len(b.rest) == 0 {
		if !b.lines.Scan() {
			if err := b.lines.Err(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		line := b.lines.Bytes()
		if len(line) == 0 {
			return 0, io.EOF
		}
		switch line[0] {
		case answer:
			b.rest = line[1:]
		case people:
			_, _ = b.said.Write(line[1:]) // which does not fail
		case fatal:
			return 0, &fatalError{text: cut(string(line[1:]), maxSaid*8)}
		default:
			return 0, errMalformed
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}
