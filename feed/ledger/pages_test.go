package ledger

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scanned reads a file as read does, and counts its deliveries.
func scanned(file []byte) (deliveries int, err error) {
	m := image{file: bytes.NewReader(file), size: int64(len(file)), each: func(bucket string, _, _ []byte) {
		if bucket == deliveryBucket {
			deliveries++
		}
	}}
	return deliveries, m.scan()
}

func TestScanReadsWhatBboltWrote(t *testing.T) {
	for _, messages := range []int{0, 1, 5, 21, 100, 3000} {
		kept := messages
		for i := range messages {
			if i > 20 && i%4 == 0 {
				kept--
			}
		}
		n, err := scanned(sample(t, messages))
		if messages == 0 {
			assert.NoError(t, err, "a file in which nothing was ever kept is sound")
			continue
		}
		require.NoError(t, err, "a file of %d messages is sound", messages)
		assert.Equal(t, kept, n, "and all that was not forgotten of %d messages is found", messages)
	}
}

// An editor changes a file where the newer meta says.
type editor struct {
	file []byte
	image
}

func edit(t testing.TB, file []byte) *editor {
	t.Helper()
	e := &editor{file: bytes.Clone(file)}
	e.image = image{file: bytes.NewReader(e.file), size: int64(len(e.file))}
	require.True(t, e.findMeta(), "the sample has a meta")
	return e
}

func (e *editor) at(page uint64) []byte { return e.file[page*uint64(e.pageSize):] }

// deliveries is the page at the root of the deliveries' bucket.
func (e *editor) deliveries() uint64 {
	root := e.at(e.root)
	first := root[headSize:]
	order := binary.NativeEndian
	return order.Uint64(first[order.Uint32(first[4:])+order.Uint32(first[8:]):])
}

// point writes what both metas say at an offset, with right checksums.
func (e *editor) point(offset int, to uint64) {
	for page := range uint64(2) {
		b := e.at(page)[headSize : headSize+metaSize]
		binary.NativeEndian.PutUint64(b[offset:], to)
		sum := fnv.New64a()
		sum.Write(b[:metaSize-8])
		binary.NativeEndian.PutUint64(b[metaSize-8:], sum.Sum64())
	}
}

func TestStructureThatBboltWouldTrust(t *testing.T) {
	good := sample(t, 1000)
	order := binary.NativeEndian
	for name, c := range map[string]struct {
		spoil func(*editor)
		want  string
	}{
		"a branch that is its own child": {func(e *editor) {
			order.PutUint64(e.at(e.deliveries())[headSize+8:], e.deliveries())
		}, "is used twice"},
		"a child that is another one's, too": {func(e *editor) {
			b := e.at(e.deliveries())[headSize:]
			copy(b[elementSize+8:elementSize+16], b[8:16])
		}, "is used twice"},
		"a child behind the end": {func(e *editor) {
			order.PutUint64(e.at(e.deliveries())[headSize+8:], 1<<40)
		}, "is outside of the file"},
		"a child that is a meta": {func(e *editor) {
			order.PutUint64(e.at(e.deliveries())[headSize+8:], 1)
		}, "is outside of the file"},
		"a page that says it is another": {func(e *editor) { e.at(e.deliveries())[0]++ }, "has a wrong head"},
		"a page that spans the world":    {func(e *editor) { order.PutUint32(e.at(e.root)[12:], 1<<31) }, "has a wrong head"},
		"a branch without a child":       {func(e *editor) { order.PutUint16(e.at(e.deliveries())[10:], 0) }, "and 0 elements"},
		"more elements than fit":         {func(e *editor) { order.PutUint16(e.at(e.deliveries())[10:], 0xffff) }, "page"},
		"a page of no kind":              {func(e *editor) { order.PutUint16(e.at(e.root)[8:], 3) }, "has flags 0x3"},
		"a key behind its page":          {func(e *editor) { order.PutUint32(e.at(e.root)[headSize+4:], 1<<31) }, "has not 2 elements"},
		"a value behind its page": {func(e *editor) {
			order.PutUint32(e.at(e.root)[headSize+12:], 1<<31)
		}, "has a wrong element"},
		"a bucket of too few octets": {func(e *editor) { order.PutUint32(e.at(e.root)[headSize+12:], 8) }, "has a wrong bucket"},
		"keys out of order": {func(e *editor) {
			p := e.at(e.deliveries())
			p[headSize+int(order.Uint32(p[headSize:]))] = 0xff
		}, "has a wrong"},
		"a root behind the end":    {func(e *editor) { e.point(16, 1<<50) }, "is outside of the file"},
		"no list of free pages":    {func(e *editor) { e.point(32, 1<<64-1) }, "is outside of the file"},
		"a free list that is none": {func(e *editor) { e.point(32, e.root) }, ""},
		"a free list that counts to the moon": {func(e *editor) {
			order.PutUint16(e.at(e.free)[10:], 0xfff0)
		}, "is no list of free pages"},
		"a free list that counts beyond it": {func(e *editor) {
			order.PutUint16(e.at(e.free)[10:], 0xffff)
			order.PutUint64(e.at(e.free)[headSize:], 1<<36)
		}, "is no list of free pages"},
		"a free page that is in use": {func(e *editor) {
			order.PutUint64(e.at(e.free)[headSize:], e.root)
		}, "is used twice"},
		"a free page behind the end": {func(e *editor) {
			order.PutUint64(e.at(e.free)[headSize:], 1<<50)
		}, "is outside of the file"},
	} {
		t.Run(name, func(t *testing.T) {
			e := edit(t, good)
			c.spoil(e)
			_, err := scanned(e.file)
			var d *damage
			require.ErrorAs(t, err, &d, "it is noticed")
			assert.Contains(t, err.Error(), c.want, "for what it is")
		})
	}
}

func TestOlderMetaServesWhenTheNewerIsTorn(t *testing.T) {
	good := sample(t, 100)
	for page := range 2 {
		bad := bytes.Clone(good)
		bad[page*4096+headSize+20]++
		m := image{file: bytes.NewReader(bad), size: int64(len(bad))}
		assert.True(t, m.findMeta(), "meta %d may be lost", page)
		assert.Equal(t, 4096, m.pageSize, "the other one tells the size of pages")
	}
}

// Whatever the octets, reading ends without a panic. Each four octets of the script change one octet of the head or the
// elements of a page, or of any.
func FuzzScan(f *testing.F) {
	good := sample(f, 30)
	f.Add([]byte{2, 0, 10, 1, 3, 0, 16, 0xff})
	f.Add([]byte{5, 1, 0, 7})
	f.Fuzz(func(t *testing.T, script []byte) {
		e := edit(t, good)
		for ; len(script) >= 4; script = script[4:] {
			at := int(script[1]&1)<<8 | int(script[2])
			if script[1]&2 != 0 {
				at = int(script[1])<<4 | int(script[2])
			}
			page := uint64(script[0]) % uint64(len(e.file)/e.pageSize)
			e.at(page)[at] ^= script[3]
			e.point(32, e.free) // with metas that are valid
		}
		_, _ = scanned(e.file)
	})
}
