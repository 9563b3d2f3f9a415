package ledger

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAge(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for name, c := range map[string]struct {
		at                  time.Duration // from now
		alive, stale, again int
	}{
		"young":                     {-time.Minute, 1, 0, 0},
		"made now":                  {0, 1, 0, 0},
		"as old as may be":          {-time.Hour, 1, 0, 0},
		"older":                     {-time.Hour - 1, 0, 1, 0},
		"from the future":           {1, 0, 1, 1},
		"from a clock far ahead":    {200_000 * time.Hour, 0, 1, 1},
		"from when the clock was 0": {-500_000 * time.Hour, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := delivery(1, 1)
			d.At = now.Add(c.at)
			n := findings{records: []record{{7, d}}}
			stale, again := n.age(now, time.Hour)
			assert.Len(t, n.records, c.alive, "it stays as it is, or not")
			assert.Len(t, stale, c.stale, "its key is deleted, or not")
			assert.Len(t, again, c.again, "it is written again, or not")
			for _, d := range again {
				assert.Equal(t, now, d.At, "as of now")
			}
		})
	}
}

func TestFindings(t *testing.T) {
	key := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	d := delivery(1, 1)
	value := appendDelivery(nil, &d)
	n := findings{}
	n.take(deliveryBucket, key(5), value)
	n.take("another", key(9), value)
	assert.Equal(t, []record{{5, d}}, n.records, "deliveries are taken of their own bucket")
	assert.Equal(t, uint64(5), n.highest, "the next key is above the highest")
	assert.NoError(t, n.damage, "that is all well")
	n.take(deliveryBucket, key(6)[1:], value)
	assert.ErrorContains(t, n.damage, "damaged", "a key of another size is a damage")
	n = findings{}
	n.take(deliveryBucket, key(6), value[1:])
	assert.ErrorContains(t, n.damage, "another version", "and so is a value that cannot be read")
	assert.Empty(t, n.records, "of which nothing is taken")
}
