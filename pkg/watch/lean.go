package watch

import (
	"bytes"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// NewLean returns a client for Objects that reads no managedFields. They are most of an
// object that many write to, in small maps, and whoever looks at the state of an object
// needs none of them.
func NewLean(cfg *rest.Config, hc *http.Client) (dynamic.Interface, error) {
	cfg = dynamic.ConfigFor(cfg)
	cfg.NegotiatedSerializer = leanSerializer{cfg.NegotiatedSerializer}
	cfg.GroupVersion, cfg.APIPath = nil, "/" // the client gives whole paths
	c, err := rest.UnversionedRESTClientForConfigAndClient(cfg, hc)
	if err != nil {
		return nil, err
	}
	return dynamic.New(c), nil
}

type leanSerializer struct{ runtime.NegotiatedSerializer }

func (s leanSerializer) DecoderToVersion(d runtime.Decoder, v runtime.GroupVersioner) runtime.Decoder {
	return leanDecoder{s.NegotiatedSerializer.DecoderToVersion(d, v)}
}

type leanDecoder struct{ runtime.Decoder }

func (d leanDecoder) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	return d.Decoder.Decode(withoutManagedFields(data), defaults, into)
}

// withoutManagedFields returns the JSON of an object, or of a list of objects, with null in
// the place of metadata.managedFields. What is no such JSON is returned as it is, for the
// decoder to say what is wrong with it.
func withoutManagedFields(doc []byte) []byte {
	s := scanner{rest: doc, doc: doc}
	if !s.object(s.member) || len(s.found) == 0 {
		return doc
	}
	lean, from := make([]byte, 0, len(doc)), 0
	for _, f := range s.found {
		lean = append(append(lean, doc[from:f.start]...), "null"...)
		from = f.end
	}
	return append(lean, doc[from:]...)
}

// scanner goes through JSON without decoding it. Its methods return false where the JSON
// is not what it has to be, and nothing that was found counts then.
type scanner struct {
	doc, rest []byte // rest is the end of doc that was not looked at yet
	found     []span
}

// span is a part of a document.
type span struct{ start, end int }

// member looks at a value of an object, or of a list of objects.
func (s *scanner) member(key []byte) bool {
	switch string(key) {
	case `"metadata"`:
		return s.object(s.ofMetadata)
	case `"items"`:
		return s.array(func() bool { return s.object(s.member) })
	default:
		return s.value()
	}
}

func (s *scanner) ofMetadata(key []byte) bool {
	if string(key) != `"managedFields"` {
		return s.value()
	}
	s.space()
	start := len(s.doc) - len(s.rest)
	ok := s.value()
	s.found = append(s.found, span{start, len(s.doc) - len(s.rest)})
	return ok
}

// object calls member with each key of an object, quotes included, to go over its value.
// Where a value is no object, it is gone over.
func (s *scanner) object(member func(key []byte) bool) bool {
	if s.peek() != '{' {
		return s.value()
	}
	return s.list('{', '}', func() bool {
		before := s.rest
		if s.peek() != '"' || !s.text() {
			return false
		}
		key := bytes.TrimLeft(before[:len(before)-len(s.rest)], blanks)
		return s.take(':') && member(key)
	})
}

// array calls element to go over each of an array.
func (s *scanner) array(element func() bool) bool {
	if s.peek() != '[' {
		return s.value()
	}
	return s.list('[', ']', element)
}

// list goes over what stands between two brackets, with commas between.
func (s *scanner) list(open, end byte, each func() bool) bool {
	if !s.take(open) {
		return false
	}
	if s.take(end) {
		return true
	}
	for each() {
		if s.take(end) {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
	return false
}

// value goes over any value, by its brackets alone: whether what is between them is JSON
// is for the decoder to find out, which sees it too unless it is managed fields.
func (s *scanner) value() bool {
	depth := 0
	for {
		switch s.peek() {
		case 0:
			return false
		case '"':
			if !s.text() {
				return false
			}
		case '{', '[':
			s.rest = s.rest[1:]
			depth++
		case '}', ']':
			s.rest = s.rest[1:]
			depth--
		case ',', ':':
			s.rest = s.rest[1:]
		default:
			s.scalar()
		}
		if depth <= 0 {
			return depth == 0
		}
	}
}

// text goes over a string.
func (s *scanner) text() bool {
	for i := 1; ; {
		at := bytes.IndexByte(s.rest[i:], '"')
		if at < 0 {
			return false
		}
		at += i
		slashes := 0
		for s.rest[at-1-slashes] == '\\' {
			slashes++
		}
		i = at + 1
		if slashes%2 == 0 {
			s.rest = s.rest[i:]
			return true
		}
	}
}

// scalar goes over a number or a word.
func (s *scanner) scalar() {
	end := bytes.IndexAny(s.rest, `,:]}[{"`+blanks)
	if end < 0 {
		end = len(s.rest)
	}
	s.rest = s.rest[end:]
}

// blanks are what may stand between the parts of JSON.
const blanks = " \t\r\n"

func (s *scanner) space() {
	for len(s.rest) > 0 && strings.IndexByte(blanks, s.rest[0]) >= 0 {
		s.rest = s.rest[1:]
	}
}

// peek returns the next byte that is no blank, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if len(s.rest) == 0 {
		return 0
	}
	return s.rest[0]
}

// take goes over a byte, if it is the next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}
