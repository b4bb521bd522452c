package git

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// TestScanRefusesLargeDeltas: a delta of a few bytes copies the same part of its base
// again and again.
func TestScanRefusesLargeDeltas(t *testing.T) {
	t.Parallel()
	const most = 1000
	tests := map[string]struct {
		why  string
		pack []byte
		want error
	}{
		"what is allowed":    {pack: deltaPack(10, most, 30)},
		"one more":           {pack: deltaPack(10, most+1, 30), want: ErrTooLarge},
		"all there is":       {why: "a size is as long as one likes", pack: deltaPack(10, math.MaxUint64, 30), want: ErrTooLarge},
		"a large base":       {why: "it has to be here, where none is so large", pack: deltaPack(most+1, 10, 30)},
		"a long delta":       {why: "it is in memory too", pack: deltaPack(10, 10, most+1), want: ErrTooLarge},
		"no size":            {why: "go-git says what is wrong with it", pack: packOfDeltas([]byte{0x80})},
		"a larger one after": {why: "each counts", pack: deltaPack(10, most, 30, deltaOf(10, most+1, 30)), want: ErrTooLarge},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := generation{dir: t.TempDir()}.storage()
			_, _, err := scan(st, bytes.NewReader(tc.pack), most)
			if !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v (%s)", err, tc.want, tc.why)
			}
		})
	}
}

// deltaPack is a pack of a delta, and maybe of more.
func deltaPack(base, result uint64, length int, more ...[]byte) []byte {
	return packOfDeltas(append([][]byte{deltaOf(base, result, length)}, more...)...)
}

// deltaOf is a delta with sizes, of some length.
func deltaOf(base, result uint64, length int) []byte {
	b := binary.AppendUvarint(nil, base)
	b = binary.AppendUvarint(b, result)
	return append(b, make([]byte, max(0, length-len(b)))...)
}

// packOfDeltas is a pack of deltas of what is not here.
func packOfDeltas(contents ...[]byte) []byte {
	b := packStart(uint32(len(contents)))
	for _, content := range contents {
		size := uint64(len(content))
		head, size := byte(plumbing.REFDeltaObject)<<4|byte(size&0x0f), size>>4
		for ; size > 0; size >>= 7 {
			b = append(b, head|0x80)
			head = byte(size & 0x7f)
		}
		b = append(b, head)
		b = append(b, make([]byte, sha1.Size)...) // the base
		var z bytes.Buffer
		w := zlib.NewWriter(&z)
		_, _ = w.Write(content) // to memory
		_ = w.Close()
		b = append(b, z.Bytes()...)
	}
	sum := sha1.Sum(b)
	return append(b, sum[:]...)
}
