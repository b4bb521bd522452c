package releases

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
)

const (
	// maxStored is how large the API server lets the data of a Secret be.
	maxStored = corev1.MaxSecretSize
	// maxJSON bounds what a Secret unpacks to. Charts shrink to a tenth or so.
	maxJSON = 32 << 20
	// maxValues bounds the memory that the JSON of a release takes when it is read.
	maxValues = 1 << 20
	// perValue is about what a value takes besides its text.
	perValue = 64
)

// ErrTooLarge is given to a release that does not fit into a Secret.
var ErrTooLarge = errors.New("release is too large to be stored")

// wire is a release as Helm 4 writes it.
type wire struct {
	*release.Release
	Method Method `json:"apply_method,omitempty"`
}

// encode returns what a Secret holds of a release. What the version that was stored
// before has, and the types lack, is kept; before may be nil.
func encode(rel *release.Release, method Method, before []byte) (stored, js []byte, err error) {
	js, err = json.Marshal(wire{Release: rel, Method: method})
	if err != nil {
		return nil, nil, fmt.Errorf("encoding release %q: %w", rel.Name, err)
	}
	if before != nil {
		if js, err = keep(js, before); err != nil {
			return nil, nil, err
		}
	}
	if len(js) > maxJSON || count(js) > maxValues {
		return nil, nil, fmt.Errorf("%w: it has more than %d MiB, or more than %d values", ErrTooLarge, maxJSON>>20, maxValues)
	}
	// Helm compresses as well as it can. To read, it is all the same.
	stored, err = pack(js, gzip.DefaultCompression)
	if err == nil && len(stored) > maxStored {
		stored, err = pack(js, gzip.BestCompression)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("compressing release %q: %w", rel.Name, err)
	}
	if len(stored) > maxStored {
		return nil, nil, fmt.Errorf("%w: it takes %d bytes of the %d that a Secret has, so the chart has to become smaller; files that templates do not use can be named in its .helmignore", ErrTooLarge, len(stored), maxStored)
	}
	return stored, js, nil
}

// writers are compressors of the usual level, each of which takes a megabyte.
var writers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// pack compresses JSON, and makes text of that.
func pack(js []byte, level int) ([]byte, error) {
	var buf bytes.Buffer
	var w *gzip.Writer
	if level == gzip.DefaultCompression {
		w = writers.Get().(*gzip.Writer)
		defer writers.Put(w)
		w.Reset(&buf)
	} else {
		var err error
		if w, err = gzip.NewWriterLevel(&buf, level); err != nil {
			return nil, err
		}
	}
	if _, err := w.Write(js); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return base64.StdEncoding.AppendEncode(nil, buf.Bytes()), nil
}

// unpack returns the JSON that a Secret holds.
func unpack(stored []byte) ([]byte, error) {
	if len(stored) > maxStored {
		return nil, fmt.Errorf("it holds more than %d bytes", maxStored)
	}
	packed, err := base64.StdEncoding.AppendDecode(nil, stored)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(packed, []byte{0x1f, 0x8b, 0x08}) {
		return packed, nil // early releases were not compressed
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	js, err := io.ReadAll(io.LimitReader(r, maxJSON+1))
	switch {
	case err != nil:
		return nil, err
	case len(js) > maxJSON:
		return nil, fmt.Errorf("it unpacks to more than %d MiB", maxJSON>>20)
	default:
		return js, nil
	}
}

// decode returns the release that a Secret holds, and about how much memory it takes.
// Errors do not tell what it holds.
func decode(stored []byte) (*release.Release, Method, int, error) {
	js, err := unpack(stored)
	if err != nil {
		return nil, "", 0, err
	}
	values := count(js)
	if values > maxValues {
		return nil, "", 0, fmt.Errorf("it has more than %d values", maxValues)
	}
	var w wire
	if err := json.Unmarshal(js, &w); err != nil {
		return nil, "", 0, fault(err)
	}
	if !whole(w.Release) {
		return nil, "", 0, errors.New("it lacks parts that every release has")
	}
	return w.Release, w.Method, len(js) + perValue*values, nil
}

// reread returns the release that its JSON is read as: numbers, texts and times may come
// back otherwise than they were. The chart is that of the release.
func reread(js []byte, of *chart.Chart) (*release.Release, Method, error) {
	var w struct {
		wire
		Chart skipped `json:"chart"`
	}
	if err := json.Unmarshal(js, &w); err != nil {
		return nil, "", fault(err)
	}
	if w.Release == nil {
		return nil, "", errors.New("it is empty")
	}
	w.Release.Chart = of
	return w.Release, w.Method, nil
}

// skipped is JSON that nobody reads.
type skipped struct{}

// UnmarshalJSON implements json.Unmarshaler.
func (*skipped) UnmarshalJSON([]byte) error { return nil }

// whole reports whether a release has what everybody takes for granted.
func whole(r *release.Release) bool {
	return r != nil && r.Info != nil && r.Chart != nil && r.Chart.Metadata != nil &&
		!slices.Contains(r.Hooks, nil) &&
		!slices.Contains(r.Chart.Templates, nil) && !slices.Contains(r.Chart.Files, nil) &&
		!slices.Contains(r.Chart.Metadata.Dependencies, nil) && !slices.Contains(r.Chart.Metadata.Maintainers, nil)
}

// fault tells what is wrong with JSON without a word of it.
func fault(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("its JSON is broken at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Errorf("its JSON has a %q that is none of a release", strings.TrimPrefix(kind.Field, "Release."))
	default:
		return errors.New("its JSON is none of a release")
	}
}

// count returns how many values JSON has, or more.
func count(js []byte) int {
	n, quoted := 1, false
	for i := 0; i < len(js); i++ {
		switch c := js[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && (c == ',' || c == '[' || c == '{'):
			n++
		}
	}
	return n
}
