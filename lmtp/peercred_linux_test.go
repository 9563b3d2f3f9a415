package lmtp

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheOverflowUserIsNobodyInParticular(t *testing.T) {
	_, err := NewPeers([]string{strconv.FormatUint(uint64(overflowUser()), 10)}, nil)
	require.Error(t, err, "the list is refused")
	assert.Contains(t, err.Error(), "stands for everybody whom this process cannot tell apart", "the error says why")
}

// Without this a unit with PrivateUsers=yes would make everybody on the machine the same user.
func TestMapped(t *testing.T) {
	const whole, private = "         0          0 4294967295\n", "         0          0          1\n       999        999          1\n"
	tests := []struct {
		rule, uidMap string
		uid          uint32
		want         bool
	}{
		{"the first namespace knows all", whole, 110, true},
		{"and the highest", whole, 4294967294, true},
		{"a private one knows root", private, 0, true},
		{"and its own user", private, 999, true},
		{"and nobody else", private, 110, false},
		{"nor the next one", private, 1000, false},
		{"what is no map says nothing good", "0 0\nx y z\n", 0, false},
		{"an empty map", "", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			assert.Equal(t, tt.want, mapped(tt.uidMap, tt.uid), "user %d", tt.uid)
		})
	}
}
