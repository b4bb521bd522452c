package archive

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLongIndex: one gzip member cannot hold the index of a large tree.
func TestLongIndex(t *testing.T) {
	var x index
	var content bytes.Buffer
	want := make(map[key][]member)
	for i := range 5000 {
		g := group{key: keyOf([]node{{Node: Node{Path: fmt.Sprint(i)}}})}
		for j := range 1 + i%3 {
			m := member{key: g.key, offset: int64(content.Len()), length: 1, unpacked: int64(i), sum: uint32(j)}
			if i%3 > 0 {
				m.key = keyOf([]node{{Node: Node{Path: fmt.Sprint(i, j)}}})
			}
			content.WriteByte('x')
			g.members = append(g.members, m)
		}
		want[g.key] = g.members
		x.groups = append(x.groups, g)
	}
	if err := x.writeTo(&content); err != nil {
		t.Fatal(err)
	}
	if most := 3 * extraMax; content.Len() < most {
		t.Fatalf("the index has %d bytes, which is too few for this test", content.Len())
	}
	e, err := ReadEarlier(bytes.NewReader(content.Bytes()), int64(content.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, e.groups, cmp.AllowUnexported(member{})); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	if got := len(e.members); got != len(slices.Concat(slices.Collect(maps.Values(want))...)) {
		t.Errorf("%d members", got)
	}
}
