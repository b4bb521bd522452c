package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// indexFormat is part of an index. It is another whenever equal trees give other bytes than before,
// so that nothing of an archive that was written before is copied into one that is written now.
const indexFormat = 1

const (
	// maxIndex bounds an index that is read: that of some million files.
	maxIndex = 64 << 20

	// extraMax is the most that one member without content can hold beside it.
	extraMax = 1<<16 - 1 - 4

	// emptyMember is what a gzip member without content takes, without what is beside it.
	emptyMember = 10 + 2 + 4 + 2 + 8

	// footerData is the format of the index, its length and its checksum.
	footerData = 1 + 8 + 4
)

// The names of the two kinds of extra fields, as RFC 1952 has them.
const (
	indexField  = "We"
	footerField = "WE"
)

var errNoIndex = errors.New("the archive has no index")

// index says which members an archive consists of, group by group. A reader of the archive sees
// nothing of it: it is in the extra fields of gzip members that hold nothing, after the end of the
// archive. The last of them is the footer; it has always the same length, and says how long the
// index is. So what tells how to go on from an archive is part of it: neither can be lost, or be of
// another state, without the other.
type index struct {
	groups []group
}

type group struct {
	key     key
	members []member
}

// member is one gzip member with entries.
type member struct {
	key      key
	offset   int64 // of those of an earlier archive
	length   int64
	unpacked int64  // bytes of its files
	sum      uint32 // CRC-32C of its bytes as they are in the archive
}

// writeTo writes the index as the end of an archive.
func (x *index) writeTo(w io.Writer) error {
	var data []byte
	for _, g := range x.groups {
		data = append(data, g.key[:]...)
		data = binary.AppendUvarint(data, uint64(len(g.members)))
		for _, m := range g.members {
			if len(g.members) > 1 { // of one, it is the same
				data = append(data, m.key[:]...)
			}
			data = binary.AppendUvarint(data, uint64(m.length))
			data = binary.AppendUvarint(data, uint64(m.unpacked))
			data = binary.BigEndian.AppendUint32(data, m.sum)
		}
	}
	var out []byte
	for len(data) > 0 {
		n := min(len(data), extraMax)
		out = appendEmptyMember(out, indexField, data[:n])
		data = data[n:]
	}
	footer := binary.BigEndian.AppendUint64([]byte{indexFormat}, uint64(len(out)))
	footer = binary.BigEndian.AppendUint32(footer, crc32.Checksum(out, castagnoli))
	_, err := w.Write(appendEmptyMember(out, footerField, footer))
	return err
}

// appendEmptyMember appends a gzip member that holds nothing, and data beside it.
func appendEmptyMember(b []byte, field string, data []byte) []byte {
	const hasExtra = 4
	b = append(b, 0x1f, 0x8b, 8, hasExtra, 0, 0, 0, 0, 0, 255) // no time, system unknown
	b = binary.LittleEndian.AppendUint16(b, uint16(len(data)+4))
	b = append(b, field...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(data)))
	b = append(b, data...)
	return append(b, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0) // one last block of nothing; its checksum and size
}

// cutEmptyMember returns the data beside the first member of b, and what follows it.
func cutEmptyMember(b []byte, field string) (data, rest []byte, err error) {
	if len(b) < emptyMember {
		return nil, nil, errNoIndex
	}
	n := int(binary.LittleEndian.Uint16(b[14:]))
	if len(b) < emptyMember+n {
		return nil, nil, errNoIndex
	}
	data, rest = b[16:16+n], b[emptyMember+n:]
	if !bytes.Equal(b[:emptyMember+n], appendEmptyMember(nil, field, data)) {
		return nil, nil, errNoIndex
	}
	return data, rest, nil
}

// Earlier is an archive that WriteTree wrote before, and may copy from.
type Earlier struct {
	r       io.ReaderAt
	groups  map[key][]member
	members map[key]member
}

// ReadEarlier reads the index of an archive. An error means that there is nothing to copy from,
// which is so for every archive that something else than this version of WriteTree wrote.
func ReadEarlier(r io.ReaderAt, size int64) (*Earlier, error) {
	const footerSize = emptyMember + footerData
	footer, err := readAt(r, size-footerSize, footerSize)
	if err != nil {
		return nil, err
	}
	data, _, err := cutEmptyMember(footer, footerField)
	if err != nil || len(data) != footerData || data[0] != indexFormat {
		return nil, errNoIndex
	}
	length, sum := binary.BigEndian.Uint64(data[1:]), binary.BigEndian.Uint32(data[9:])
	if length > maxIndex {
		return nil, fmt.Errorf("%w: its length would be %d bytes", errNoIndex, length)
	}
	start := size - footerSize - int64(length)
	raw, err := readAt(r, start, int(length))
	if err != nil {
		return nil, err
	}
	if crc32.Checksum(raw, castagnoli) != sum {
		return nil, fmt.Errorf("%w that is undamaged", errNoIndex)
	}
	var all []byte
	for len(raw) > 0 {
		if data, raw, err = cutEmptyMember(raw, indexField); err != nil {
			return nil, err
		}
		all = append(all, data...)
	}
	e := &Earlier{r: r, groups: make(map[key][]member), members: make(map[key]member)}
	return e, e.decode(all, start)
}

// readAt reads a part of an archive that may be too short for it.
func readAt(r io.ReaderAt, offset int64, length int) ([]byte, error) {
	if offset < 0 {
		return nil, errNoIndex
	}
	b := make([]byte, length)
	if n, err := r.ReadAt(b, offset); n < length {
		return nil, fmt.Errorf("reading the index of the archive: %w", err)
	}
	return b, nil
}

// decode reads groups, whose members lie one after the other before end.
func (e *Earlier) decode(b []byte, end int64) error {
	d := &decoder{b: b}
	var offset int64
	for len(d.b) > 0 && !d.failed {
		var g group
		d.bytes(g.key[:])
		n := d.number()
		for range n {
			m := member{key: g.key, offset: offset}
			if n > 1 {
				d.bytes(m.key[:])
			}
			m.length, m.unpacked = d.number(), d.number()
			var sum [4]byte
			d.bytes(sum[:])
			m.sum = binary.BigEndian.Uint32(sum[:])
			if d.failed || m.length > end-offset {
				d.failed = true
				break
			}
			offset += m.length
			g.members = append(g.members, m)
			e.members[m.key] = m
		}
		e.groups[g.key] = g.members
	}
	if d.failed {
		return fmt.Errorf("%w that can be read", errNoIndex)
	}
	return nil
}

// group returns the members of a group, if the archive has them undamaged. There may be no archive.
func (e *Earlier) group(k key) ([]member, bool) {
	if e == nil {
		return nil, false
	}
	members, ok := e.groups[k]
	for _, m := range members {
		ok = ok && e.intact(m)
	}
	return members, ok
}

// member returns a member, if the archive has it undamaged. There may be no archive.
func (e *Earlier) member(k key) (member, bool) {
	if e == nil {
		return member{}, false
	}
	m, ok := e.members[k]
	return m, ok && e.intact(m)
}

// intact reports whether a member is what was written. It is read twice for that, which takes less
// time than it takes to start again when a damaged one was copied.
func (e *Earlier) intact(m member) bool {
	sum := crc32.New(castagnoli)
	n, err := io.Copy(sum, e.open(m))
	return err == nil && n == m.length && sum.Sum32() == m.sum
}

func (e *Earlier) open(m member) io.Reader { return io.NewSectionReader(e.r, m.offset, m.length) }

// decoder reads the parts of an index, until one is missing.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) bytes(dst []byte) {
	if len(d.b) < len(dst) {
		d.failed = true
		return
	}
	d.b = d.b[copy(dst, d.b):]
}

// number returns the next number, which is not negative.
func (d *decoder) number() int64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || int64(v) < 0 {
		d.failed = true
		return 0
	}
	d.b = d.b[n:]
	return int64(v)
}
