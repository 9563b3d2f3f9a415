package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
)

// The layout of a bbolt file, version 2, in the byte order of the machine. A page has a head and elements; the first two are
// metas, of which the one with the higher transaction that is whole counts.
const (
	headSize    = 16 // id 8, flags 2, count 2, overflow 4: how many pages more it spans
	elementSize = 16 // leaf: flags 4, position 4, key's size 4, value's size 4; branch: position 4, key's size 4, page 8
	metaSize    = 64 // magic 4, version 4, page size 4, flags 4, root 8, sequence 8, free list 8, pages 8, transaction 8, sum 8
	bucketSize  = 16 // root 8, sequence 8; root 0: the bucket's only page follows

	flagBranch = 0x01
	flagLeaf   = 0x02
	flagFree   = 0x10
	flagBucket = 0x01 // of a leaf's element

	boltMagic   = 0xED0CDAED
	boltVersion = 2

	maxDepth    = 32 // a tree of 4 KiB pages with 8 octets a key that is deeper is none
	minPageSize = 1 << 10
	maxPageSize = 1 << 24
)

// An image is a file of bbolt's as it lies on disk, read without bbolt: whatever the octets, reading ends, takes memory in
// proportion to the file, and does not panic. bbolt itself trusts its pages: a cycle makes it loop, a wrong count makes it
// ask for more memory than there is, and neither can be recovered. It also finds what a half broken file still holds.
type image struct {
	file io.ReaderAt
	size int64
	each func(bucket string, key, value []byte)

	meta
	seen   []bool // by page: reached from the root, or free
	damage error  // the first found
}

// A meta says where everything is.
type meta struct {
	pageSize          int
	root, free, pages uint64
	tx                uint64
}

// scan walks through everything that can be reached, calls each for every key outside of the root, in order, and returns the
// first damage. The slices are each's for the time of the call.
func (m *image) scan() error {
	if !m.findMeta() {
		return &damage{"no valid meta page"}
	}
	// A page that begins behind the end of the file cannot be read: that bounds what a wrong number costs.
	last := (m.size + int64(m.pageSize) - 1) / int64(m.pageSize)
	m.seen = make([]bool, min(m.pages, uint64(last)))
	m.walk(m.root, &trail{}, 0)
	m.walkFree()
	return m.damage
}

func (m *image) fail(format string, args ...any) {
	if m.damage == nil {
		m.damage = &damage{fmt.Sprintf(format, args...)}
	}
}

// findMeta takes the newer one of the valid metas, as bbolt does. Where the second one is depends on the page size, which the
// first one tells if it is valid.
func (m *image) findMeta() bool {
	first, ok := m.readMeta(0)
	if ok {
		m.meta = first
		if second, ok := m.readMeta(int64(first.pageSize)); ok && second.tx > first.tx {
			m.meta = second
		}
		return true
	}
	for at := int64(minPageSize); at <= maxPageSize && at < m.size; at *= 2 {
		if second, ok := m.readMeta(at); ok && int64(second.pageSize) == at {
			m.meta = second
			return true
		}
	}
	return false
}

func (m *image) readMeta(at int64) (meta, bool) {
	b := make([]byte, headSize+metaSize)
	if _, err := m.file.ReadAt(b, at); err != nil {
		return meta{}, false
	}
	b = b[headSize:]
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	order := binary.NativeEndian
	valid := order.Uint32(b) == boltMagic && order.Uint32(b[4:]) == boltVersion && order.Uint64(b[metaSize-8:]) == sum.Sum64()
	size := order.Uint32(b[8:])
	if !valid || size < minPageSize || size > maxPageSize {
		return meta{}, false
	}
	return meta{
		pageSize: int(size),
		root:     order.Uint64(b[16:]),
		free:     order.Uint64(b[32:]),
		pages:    order.Uint64(b[40:]),
		tx:       order.Uint64(b[48:]),
	}, true
}

// A page is one that was read, with the pages it spans.
type page struct {
	id     uint64
	octets []byte
}

func (p page) flags() uint16 { return binary.NativeEndian.Uint16(p.octets[8:]) }
func (p page) count() int    { return int(binary.NativeEndian.Uint16(p.octets[10:])) }

// page reads one and marks it. ok is false if it cannot be what the tree says it is.
func (m *image) page(id uint64) (p page, ok bool) {
	head := make([]byte, headSize)
	if id < 2 || id >= uint64(len(m.seen)) {
		m.fail("page %d is outside of the file", id)
		return p, false
	}
	if _, err := m.file.ReadAt(head, int64(id)*int64(m.pageSize)); err != nil {
		m.fail("page %d cannot be read: %v", id, err)
		return p, false
	}
	span := uint64(binary.NativeEndian.Uint32(head[12:])) + 1
	if own := binary.NativeEndian.Uint64(head); own != id || span > uint64(len(m.seen))-id {
		m.fail("page %d has a wrong head", id)
		return p, false
	}
	for i := id; i < id+span; i++ {
		if !m.mark(i) {
			return p, false
		}
	}
	p = page{id: id, octets: make([]byte, int(span)*m.pageSize)}
	if _, err := m.file.ReadAt(p.octets, int64(id)*int64(m.pageSize)); err != nil {
		m.fail("page %d cannot be read: %v", id, err)
		return p, false
	}
	return p, true
}

// packed is whether a page has as many elements as its head says: the keys begin right behind them. An empty one is clean.
func (p page) packed(position uint32) bool {
	n := p.count()
	if n == 0 {
		first := p.octets[headSize:min(len(p.octets), headSize+elementSize)]
		return len(bytes.Trim(first, "\x00")) == 0
	}
	return uint64(position) == uint64(n)*elementSize
}

// mark notes that a page is in use or free. It must not be both, nor twice: that ends every cycle.
func (m *image) mark(id uint64) bool {
	if m.seen[id] {
		m.fail("page %d is used twice", id)
		return false
	}
	m.seen[id] = true
	return true
}

// A trail is where the walk through one bucket has come to.
type trail struct {
	bucket string // "" is the root
	last   []byte // the key before
	floor  []byte // what the branch above says is the first key of its child, or less
}

// inOrder is whether key follows the one before. bbolt finds keys by halving, so it would miss those that stand elsewhere.
func (t *trail) inOrder(key []byte) bool {
	ok := len(key) > 0 && bytes.Compare(t.floor, key) <= 0 && (t.last == nil || bytes.Compare(t.last, key) < 0)
	t.last = append(t.last[:0], key...)
	return ok
}

// descend is whether a child whose first key is said to be key may come next.
func (t *trail) descend(key []byte) bool {
	t.floor = append(t.floor[:0], key...)
	return len(key) > 0 && (t.last == nil || bytes.Compare(t.last, key) < 0)
}

// walk goes through the tree below a page.
func (m *image) walk(id uint64, t *trail, depth int) {
	p, ok := m.page(id)
	if !ok {
		return
	}
	switch {
	case p.flags() == flagLeaf && (p.count() > 0 || depth == 0):
		m.leaf(p, t)
	case p.flags() == flagBranch && p.count() > 0 && depth < maxDepth:
		m.branch(p, t, depth)
	default:
		m.fail("page %d has flags %#x and %d elements at depth %d", id, p.flags(), p.count(), depth)
	}
}

func (m *image) branch(p page, t *trail, depth int) {
	if !p.packed(binary.NativeEndian.Uint32(p.octets[headSize:])) {
		m.fail("page %d has not %d elements", p.id, p.count())
	}
	for i := range p.count() {
		at := headSize + i*elementSize
		if at+elementSize > len(p.octets) {
			m.fail("page %d has too many elements", p.id)
			return
		}
		e := p.octets[at:]
		order := binary.NativeEndian
		key, _, ok := keyValue(p.octets, at, [3]uint32{order.Uint32(e), order.Uint32(e[4:]), 0})
		if !ok || !t.descend(key) {
			m.fail("page %d has a wrong key", p.id)
		}
		m.walk(order.Uint64(e[8:]), t, depth+1)
	}
}

func (m *image) leaf(p page, t *trail) {
	var position uint32
	if p.count() > 0 && len(p.octets) >= headSize+elementSize {
		position = binary.NativeEndian.Uint32(p.octets[headSize+4:])
	}
	if !p.packed(position) {
		m.fail("page %d has not %d elements", p.id, p.count())
	}
	for i := range p.count() {
		at := headSize + i*elementSize
		if at+elementSize > len(p.octets) {
			m.fail("page %d has too many elements", p.id)
			return
		}
		e := p.octets[at:]
		order := binary.NativeEndian
		key, value, ok := keyValue(p.octets, at, [3]uint32{order.Uint32(e[4:]), order.Uint32(e[8:]), order.Uint32(e[12:])})
		if !ok || !t.inOrder(key) {
			m.fail("page %d has a wrong element", p.id)
			continue
		}
		m.element(p, order.Uint32(e), t, key, value)
	}
}

func (m *image) element(p page, flags uint32, t *trail, key, value []byte) {
	switch {
	case flags == flagBucket && t.bucket == "":
		m.bucket(p, &trail{bucket: string(key)}, value)
	case flags == 0 && t.bucket != "":
		m.each(t.bucket, key, value)
	default:
		m.fail("page %d has an element with flags %#x", p.id, flags)
	}
}

// bucket goes through one, which may be so small that it lies inside of the root.
func (m *image) bucket(p page, t *trail, value []byte) {
	if len(value) < bucketSize {
		m.fail("page %d has a wrong bucket", p.id)
		return
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		m.walk(root, t, 0)
		return
	}
	inner := page{id: p.id, octets: value[bucketSize:]}
	if len(inner.octets) < headSize || inner.flags() != flagLeaf {
		m.fail("page %d has a wrong bucket inside", p.id)
		return
	}
	m.leaf(inner, t)
}

// keyValue cuts an element's key and value out of its page: position (from the element), size of the key, size of the value.
func keyValue(octets []byte, at int, e [3]uint32) (key, value []byte, ok bool) {
	start := uint64(at) + uint64(e[0])
	middle := start + uint64(e[1])
	end := middle + uint64(e[2])
	if end > uint64(len(octets)) {
		return nil, nil, false
	}
	return octets[start:middle], octets[middle:end], true
}

// walkFree reads the list of free pages. A page that is free and in use would be written over.
func (m *image) walkFree() {
	p, ok := m.page(m.free)
	if !ok {
		return
	}
	ids, count := p.octets[headSize:], uint64(p.count())
	if count == 0xffff && len(ids) >= 8 { // too many for the head: the first octets tell
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if p.flags() != flagFree || count > uint64(len(ids)/8) {
		m.fail("page %d is no list of free pages", p.id)
		return
	}
	for i := range count {
		id := binary.NativeEndian.Uint64(ids[8*i:])
		if id < 2 || id >= m.pages {
			m.fail("free page %d is outside of the file", id)
			return
		}
		// Pages that were never written may lie behind the end of the file.
		if id < uint64(len(m.seen)) && !m.mark(id) {
			return
		}
	}
}
