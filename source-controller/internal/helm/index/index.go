// Package index reads the index of a Helm chart repository: which versions of which
// charts it has, and where.
//
// Parse takes what Helm takes, in YAML or JSON, and drops the entries that Helm drops.
// It looks at one entry at a time and keeps of each its JSON only, so that an index of
// many thousand versions costs a small multiple of its size. WriteJSON writes the form
// in which an index is published; Find reads from that form the versions of one chart;
// Select decides which of them is meant.
//
// How large an index may be is the caller's to say, before it is in memory.
package index

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/chart"
	"sigs.k8s.io/yaml"
)

var (
	// ErrEmpty is returned for an index without a byte.
	ErrEmpty = errors.New("empty index.yaml file")

	// ErrNoAPIVersion is returned for an index that does not say which form it has.
	// Most often it is not an index at all.
	ErrNoAPIVersion = errors.New("no API version specified")
)

// Index is a valid index.
type Index struct {
	head   head
	charts map[string][]entry // newest first, once the index is complete
	text   []byte             // the JSON of all entries
}

// head is an index without its entries.
type head struct {
	ServerInfo  map[string]any    `json:"serverInfo,omitempty"`
	APIVersion  string            `json:"apiVersion"`
	Generated   time.Time         `json:"generated"`
	PublicKeys  []string          `json:"publicKeys,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// entry is a version of a chart.
type entry struct {
	version    *semver.Version
	start, end int // of its JSON
}

// record is an entry as an index has it. Its fields, and their order, are Helm's.
type record struct {
	*chart.Metadata
	URLs          []string  `json:"urls"`
	Created       time.Time `json:"created,omitempty"` //nolint:modernize // the form that is published
	Removed       bool      `json:"removed,omitempty"`
	Digest        string    `json:"digest,omitempty"`
	Checksum      string    `json:"checksum,omitempty"`
	Engine        string    `json:"engine,omitempty"`
	TillerVersion string    `json:"tillerVersion,omitempty"`
	URL           string    `json:"url,omitempty"`
}

// Parse reads an index. The data may be changed afterwards.
func Parse(data []byte) (*Index, error) {
	if len(data) == 0 {
		return nil, ErrEmpty
	}
	x, err := parse(data)
	if err != nil {
		return nil, err
	}
	for name := range x.charts {
		sort.Sort(newestFirst(x.charts[name]))
	}
	if x.head.APIVersion == "" {
		return nil, ErrNoAPIVersion
	}
	return x, nil
}

// parse reads an index entry by entry if its layout allows that, and as a whole if
// not.
func parse(data []byte) (*Index, error) {
	x := newIndex(len(data))
	if text := bytes.TrimLeft(data, " \t\r\n"); len(text) > 0 && text[0] == '{' {
		if x.streamJSON(data) == nil {
			return x, nil
		}
	} else if x.splitYAML(data) {
		return x, nil
	}
	return parseWhole(data)
}

func newIndex(size int) *Index {
	return &Index{charts: make(map[string][]entry), text: make([]byte, 0, size)}
}

// parseWhole reads an index in one piece, by the libraries that decide what an index
// is.
func parseWhole(data []byte) (*Index, error) {
	var whole struct {
		head
		Entries map[string][]*record `json:"entries"`
	}
	var err error
	if json.Valid(data) {
		err = json.Unmarshal(data, &whole)
	} else {
		err = yaml.UnmarshalStrict(data, &whole)
	}
	if err != nil {
		return nil, err
	}
	x := newIndex(len(data))
	x.head = whole.head
	for name, records := range whole.Entries {
		x.charts[name] = nil
		for _, r := range records {
			if err := x.add(name, r); err != nil {
				return nil, err
			}
		}
	}
	return x, nil
}

// add keeps a record of a chart, unless it is not valid.
func (x *Index) add(name string, r *record) error {
	if r == nil {
		return nil
	}
	if r.Metadata == nil {
		r.Metadata = new(chart.Metadata)
	}
	if r.APIVersion == "" {
		r.APIVersion = chart.APIVersionV1
	}
	if err := r.Validate(); err != nil && !tolerable(err) {
		return nil //nolint:nilerr // Helm does without it, and so do users
	}
	version, err := semver.NewVersion(r.Version)
	if err != nil {
		return nil //nolint:nilerr // the same
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing the entry of chart %q, version %q: %w", name, r.Version, err)
	}
	start := len(x.text)
	x.text = append(x.text, text...)
	x.charts[name] = append(x.charts[name], entry{version, start, len(x.text)})
	return nil
}

// tolerable reports whether an entry counts in spite of what its validation says:
// there are repositories that leave out the aliases of dependencies, which then have
// one name.
func tolerable(err error) bool {
	var v chart.ValidationError
	return errors.As(err, &v) && strings.HasPrefix(v.Error(), "validation: more than one dependency with name or alias")
}

// newestFirst is the order of the entries of a chart. Those of one version stay in
// the order that Helm leaves them in, which takes the same way of sorting.
type newestFirst []entry

func (n newestFirst) Len() int           { return len(n) }
func (n newestFirst) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }
func (n newestFirst) Less(i, j int) bool { return n[j].version.LessThan(n[i].version) }

// Charts returns the number of charts.
func (x *Index) Charts() int { return len(x.charts) }

// Versions returns the number of chart versions.
func (x *Index) Versions() int {
	n := 0
	for _, entries := range x.charts {
		n += len(entries)
	}
	return n
}

// WriteJSON writes the index as Helm writes it in JSON. The same index gives the same
// bytes.
func (x *Index) WriteJSON(w io.Writer) error {
	out := &writer{w: w}
	out.text("{")
	if len(x.head.ServerInfo) > 0 {
		out.member("serverInfo", x.head.ServerInfo)
		out.text(",")
	}
	out.member("apiVersion", x.head.APIVersion)
	out.text(",")
	out.member("generated", x.head.Generated)
	out.text(`,"entries":{`)
	for i, name := range x.names() {
		if i > 0 {
			out.text(",")
		}
		out.value(name)
		out.text(":[")
		for i, e := range x.charts[name] {
			if i > 0 {
				out.text(",")
			}
			out.bytes(x.text[e.start:e.end])
		}
		out.text("]")
	}
	out.text("}")
	if len(x.head.PublicKeys) > 0 {
		out.text(",")
		out.member("publicKeys", x.head.PublicKeys)
	}
	if len(x.head.Annotations) > 0 {
		out.text(",")
		out.member("annotations", x.head.Annotations)
	}
	out.text("}")
	return out.err
}

// names returns the names of all charts, in order.
func (x *Index) names() []string {
	names := make([]string, 0, len(x.charts))
	for name := range x.charts {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names
}

// writer writes JSON until an error.
type writer struct {
	w   io.Writer
	err error
}

func (o *writer) bytes(p []byte) {
	if o.err == nil {
		_, o.err = o.w.Write(p)
	}
}

func (o *writer) text(s string) { o.bytes([]byte(s)) }

func (o *writer) value(v any) {
	data, err := json.Marshal(v)
	if err != nil {
		o.err = errors.Join(o.err, err)
		return
	}
	o.bytes(data)
}

func (o *writer) member(name string, v any) {
	o.value(name)
	o.text(":")
	o.value(v)
}
