package signature

import (
	"bytes"
	"fmt"
)

// Signed is a commit or tag as it was signed.
type Signed struct {
	// Payload is what the signature is about: the object without its signature.
	Payload []byte
	// Signature is armored; empty if the object is not signed.
	Signature []byte
}

// Commit takes a commit, as Git stores it, apart.
//
// Only a header "gpgsig" is taken for a signature, and only one. Whatever else Git
// leaves out of the payload would be in the commit and under no signature, where other
// readers of commits may take it for something that it is not: it is refused.
func Commit(object []byte) (Signed, error) {
	header, rest := cutHeader(object)
	var s Signed
	signed, inside := false, false
	for len(header) > 0 {
		var line []byte
		line, header = cutLine(header)
		value, begins := bytes.CutPrefix(line, []byte("gpgsig "))
		switch {
		case inside && line[0] == ' ':
			s.Signature = append(s.Signature, line[1:]...)
		case begins && signed:
			return Signed{}, fmt.Errorf("%w: it has two signatures", ErrMalformed)
		case begins:
			s.Signature = append(s.Signature, value...)
			signed, inside = true, true
		case bytes.HasPrefix(line, []byte("gpgsig")):
			return Signed{}, fmt.Errorf("%w: a header %q is not supported", ErrMalformed, shortened(line))
		default:
			s.Payload = append(s.Payload, line...)
			inside = false
		}
	}
	s.Payload = append(s.Payload, rest...)
	return s, s.check()
}

// Tag takes an annotated tag, as Git stores it, apart: the signature is the end of its
// message.
func Tag(object []byte) (Signed, error) {
	header, rest := cutHeader(object)
	for left := header; len(left) > 0; {
		var line []byte
		if line, left = cutLine(left); bytes.HasPrefix(line, []byte("gpgsig")) {
			return Signed{}, fmt.Errorf("%w: a header %q is not supported", ErrMalformed, shortened(line))
		}
	}
	begin := len(object)
	for left := rest; len(left) > 0; {
		at := len(object) - len(left)
		var line []byte
		if line, left = cutLine(left); kindOf(line) != noKind {
			begin = at // of several, the last one counts
		}
	}
	s := Signed{Payload: object[:begin], Signature: object[begin:]}
	return s, s.check()
}

func (s Signed) check() error {
	if len(s.Signature) > maxSignature {
		return fmt.Errorf("%w: its signature has %d bytes, and the limit is %d", ErrMalformed, len(s.Signature), maxSignature)
	}
	return nil
}

// cutHeader splits an object before the empty line that ends its header.
func cutHeader(object []byte) (header, rest []byte) {
	if end := bytes.Index(object, []byte("\n\n")); end >= 0 {
		return object[:end+1], object[end+1:]
	}
	return object, nil
}

// cutLine splits a text behind its first line end.
func cutLine(text []byte) (line, rest []byte) {
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		return text[:end+1], text[end+1:]
	}
	return text, nil
}

// shortened is the beginning of a line.
func shortened(line []byte) string {
	const most = 32
	return string(bytes.TrimSpace(line[:min(len(line), most)]))
}
