package crash

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A judge that misreads the wire would excuse anything.
func TestDialogue(t *testing.T) {
	const head, yes, no, start = "X-Number: 7\r\n", "250 yes\r\n", "550 no\r\n", "354 go\r\n"
	both := []string{"a@x", "b@x"}
	tests := []struct {
		rule  string
		turns []string // replies begin with a digit
		to    []string
		code  int
		doubt bool
	}{
		{"the whole of it", []string{yes, yes, start, head + "..\r\n.\r\n", "250 ok\r\n"}, both, 250, false},
		{"a reply that is not complete is none", []string{yes, yes, start, head + ".\r\n", "250-o\r\n250 o"}, both, 0, true},
		{"a refused recipient is not in it", []string{yes, no, start, head + ".\r\n"}, []string{"a@x"}, 0, true},
		{"the dot alone is doubt enough", []string{yes, yes, start, head + "."}, both, 0, true},
		{"a dot that is stuffed is none", []string{yes, yes, start, head + ".."}, both, 0, false},
		{"text is none", []string{yes, yes, start, head + "..\r\n"}, both, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			d := newDialogue()
			d.heard([]byte("220 hi\r\n"))
			d.says([]byte("MAIL FROM:<>\r\nRCPT TO:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n"))
			d.heard([]byte("250 mail\r\n"))
			for _, turn := range tt.turns {
				if turn[0] >= '0' && turn[0] <= '9' {
					d.heard([]byte(turn))
				} else {
					d.says([]byte(turn))
				}
			}
			assert.Equal(t, tt.to, d.flight.to, "the recipients are those that were accepted")
			assert.Equal(t, tt.code, d.flight.code, "the final reply is the one that was read")
			assert.Equal(t, tt.doubt, d.flight.uncertain(), "it is in doubt or not")
		})
	}
}

func TestDotThatDidNotLeaveIsNoDoubt(t *testing.T) {
	d := newDialogue()
	d.says([]byte("MAIL FROM:<>\r\nRCPT TO:<a@x>\r\nDATA\r\n"))
	d.heard([]byte("220 hi\r\n250 ok\r\n250 ok\r\n354 go\r\n"))
	d.says([]byte("X-Number: 7\r\n.\r\n"))
	require.True(t, d.flight.uncertain(), "what is about to leave may have left")
	assert.Empty(t, d.said(len(".\r\n")), "what did not leave has not come to its end")
	assert.False(t, d.flight.uncertain(), "and is in no doubt")
}

func TestPoints(t *testing.T) {
	const text = "17,18:behind,19:torn=3,20:behind:power"
	points, err := pointsOf(text)
	require.NoError(t, err, "points can be read")
	assert.Equal(t, text, listOf(points), "they are written as they are read")
	_, err = pointsOf("17:somehow")
	assert.Error(t, err, "others are refused")
}
