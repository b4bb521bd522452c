package git

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	packHeader  = 12 // bytes: "PACK", version, number of objects
	packTrailer = sha1.Size
)

// storePack stores the pack that r holds, and its index. Then st has its objects, none of
// which is larger than most.
//
// The pack is read once before, in order to see what it is. A thin pack has deltas of
// objects that are here and not in it, and is completed by them.
func (g generation) storePack(st *filesystem.Storage, r io.Reader, most int64) error {
	if err := os.MkdirAll(g.packDir(), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(g.packDir(), "tmp_received_")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // what is left is removed at the next fetch
	defer f.Close()
	size, err := io.Copy(f, r)
	if err != nil {
		return err
	}
	count, bases, err := scan(st, io.NewSectionReader(f, 0, size), most)
	if err != nil {
		return err
	}
	if count == 0 {
		return nil // what is here already is all that is wanted
	}
	whole := io.Reader(io.NewSectionReader(f, 0, size))
	if len(bases) > 0 {
		objects := io.NewSectionReader(f, packHeader, size-packHeader-packTrailer)
		if whole, err = complete(st, objects, count, bases); err != nil {
			return err
		}
	}
	return packfile.WritePackfileToObjectStorage(st, whole)
}

// scan returns how many objects a pack has, and which objects that are here it has
// deltas of. It refuses a pack with an object that is larger than most: go-git would
// have it in memory.
func scan(st *filesystem.Storage, pack io.Reader, most int64) (count uint32, bases []plumbing.Hash, err error) {
	s := packfile.NewScanner(pack)
	seen := make(map[plumbing.Hash]bool)
	if _, count, err = s.Header(); err != nil {
		return 0, nil, err
	}
	for range count {
		header, err := s.NextObjectHeader()
		if err != nil {
			return 0, nil, err
		}
		if header.Length > most {
			return 0, nil, tooLargeObject(header.Length, most)
		}
		if base := header.Reference; header.Type == plumbing.REFDeltaObject && !seen[base] {
			seen[base] = true
			if has(st, base) {
				bases = append(bases, base)
			}
		}
		var begin beginning
		if _, _, err := s.NextObject(&begin); err != nil {
			return 0, nil, err
		}
		if header.Type.IsDelta() && begin.result() > most {
			return 0, nil, tooLargeObject(begin.result(), most)
		}
	}
	if _, err := s.Checksum(); err != nil {
		return 0, nil, err
	}
	return count, bases, nil
}

func tooLargeObject(size, most int64) error {
	return fmt.Errorf("an object of the remote is %w: it has %d bytes, and the limit is %d", ErrTooLarge, size, most)
}

// beginning keeps the first bytes of a delta, which are the sizes of what it is of and of
// what it makes of that.
type beginning struct {
	n     int
	bytes [2 * binary.MaxVarintLen64]byte
}

func (b *beginning) Write(p []byte) (int, error) {
	b.n += copy(b.bytes[b.n:], p)
	return len(p), nil
}

// result returns the size of what the delta makes, and 0 if it does not say.
func (b *beginning) result() int64 {
	_, n := binary.Uvarint(b.bytes[:b.n])
	if n <= 0 {
		return 0
	}
	size, n := binary.Uvarint(b.bytes[n:b.n])
	if n <= 0 {
		return 0
	}
	return int64(min(size, math.MaxInt64))
}

// has reports whether an object is here. HasEncodedObject does not know of packs if the
// access is exclusive.
func has(st *filesystem.Storage, hash plumbing.Hash) bool {
	_, err := st.EncodedObjectSize(hash)
	return err == nil
}

// complete returns a pack with the objects of another and the bases before them, so
// that deltas, which say how far back their base is, stay right.
func complete(st *filesystem.Storage, objects io.Reader, count uint32, bases []plumbing.Hash) (io.Reader, error) {
	var front bytes.Buffer
	front.Write(packStart(count + uint32(len(bases))))
	for _, base := range bases {
		if err := writeObject(&front, st, base); err != nil {
			return nil, fmt.Errorf("object %s: %w: %w", base, ErrDamaged, err)
		}
	}
	sum := sha1.New()
	body := io.TeeReader(io.MultiReader(&front, objects), sum)
	return io.MultiReader(body, &trailer{sum: func() []byte { return sum.Sum(nil) }}), nil
}

// writePack writes a pack of some objects, whole each.
func writePack(w io.Writer, st *filesystem.Storage, hashes []plumbing.Hash) error {
	sum := sha1.New()
	body := io.MultiWriter(w, sum)
	if _, err := body.Write(packStart(uint32(len(hashes)))); err != nil {
		return err
	}
	var object bytes.Buffer
	for _, hash := range hashes {
		object.Reset()
		if err := writeObject(&object, st, hash); err != nil {
			return fmt.Errorf("object %s: %w", hash, err)
		}
		if _, err := body.Write(object.Bytes()); err != nil {
			return err
		}
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}

// packStart is the header of a pack with so many objects.
func packStart(count uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte("PACK"), packfile.VersionSupported)
	return binary.BigEndian.AppendUint32(b, count)
}

// writeObject writes an object as it is in a pack.
func writeObject(w *bytes.Buffer, st *filesystem.Storage, hash plumbing.Hash) error {
	obj, err := st.EncodedObject(plumbing.AnyObject, hash)
	if err != nil {
		return err
	}
	content, err := obj.Reader()
	if err != nil {
		return err
	}
	defer content.Close()
	writeObjectHeader(w, obj.Type(), obj.Size())
	z := zlib.NewWriter(w)
	_, err = io.Copy(z, content)
	return errors.Join(err, z.Close())
}

// writeObjectHeader writes what is before the compressed content of an object: the type
// and the lowest four bits of the size, and then seven bits at a time; the highest bit
// says that there are more.
func writeObjectHeader(w *bytes.Buffer, kind plumbing.ObjectType, length int64) {
	size := uint64(length)
	head, size := byte(kind)<<4|byte(size&0x0f), size>>4
	for ; size > 0; size >>= 7 {
		w.WriteByte(head | 0x80)
		head = byte(size & 0x7f)
	}
	w.WriteByte(head)
}

// writePieces writes a pack of objects that are in memory. A thin one may have deltas
// of objects that the reader has.
func writePieces(w *bytes.Buffer, pieces []piece, thin bool) error {
	begin := w.Len()
	w.Write(packStart(uint32(len(pieces))))
	z := zlib.NewWriter(w) // which takes most of a megabyte, so one serves all
	for _, p := range pieces {
		content := p.content
		if thin && len(p.delta) > 0 {
			content = p.delta
			writeObjectHeader(w, plumbing.REFDeltaObject, int64(len(content)))
			w.Write(p.base[:])
		} else {
			writeObjectHeader(w, p.kind, int64(len(content)))
		}
		z.Reset(w)
		_, err := z.Write(content)
		if err := errors.Join(err, z.Close()); err != nil {
			return fmt.Errorf("object %s: %w", p.hash, err)
		}
	}
	sum := sha1.Sum(w.Bytes()[begin:])
	w.Write(sum[:])
	return nil
}

// trailer is the end of a pack, whose content is known when everything before was
// read.
type trailer struct {
	sum  func() []byte
	rest *bytes.Reader
}

func (t *trailer) Read(p []byte) (int, error) {
	if t.rest == nil {
		t.rest = bytes.NewReader(t.sum())
	}
	return t.rest.Read(p)
}
