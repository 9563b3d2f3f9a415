package lmtp

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func replyNumber(i int) *string {
	line := fmt.Sprintf("250 2.0.0 %d", i)
	return &line
}

// newAnswerSheet is for some recipients, with a sheet that takes what they are told. It must be made in a bubble.
func newAnswerSheet(recipients int) (*sheet, *answers) {
	s, r, _ := newSheet(nil)
	return s, newAnswers(r, recipients)
}

// heard is what the host has read so far, in one word a line.
func (s *sheet) heard() []string {
	time.Sleep(linger)
	synctest.Wait()
	return strings.Fields(strings.ReplaceAll(strings.Join(s.written(), ""), "250 2.0.0 ", ""))
}

func TestAnswersStreamInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, a := newAnswerSheet(5)
		a.give(2, replyNumber(2))
		a.give(1, replyNumber(1))
		a.stream()
		assert.Empty(t, s.heard(), "nothing is told before the first is known")
		a.give(0, replyNumber(0))
		assert.Equal(t, []string{"0", "1", "2"}, s.heard(), "then all that is known behind it")
		a.give(4, replyNumber(4))
		a.stream() // again is harmless
		assert.Equal(t, []string{"0", "1", "2"}, s.heard(), "up to the next that is not")
		a.finish("250 2.0.0 rest")
		assert.Equal(t, []string{"0", "1", "2", "rest", "4"}, s.heard(), "the end tells those without a reply what it is given")
	})
}

func TestAnswersWithoutAStream(t *testing.T) {
	tests := []struct {
		rule  string
		given []int
		heard []string
	}{
		{"all known", []int{1, 0, 2}, []string{"0", "1", "2"}},
		{"some known", []int{1}, []string{"rest", "1", "rest"}},
		{"none known", nil, []string{"rest", "rest", "rest"}},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, a := newAnswerSheet(3)
				for _, i := range tt.given {
					a.give(i, replyNumber(i))
				}
				assert.Empty(t, s.heard(), "nothing is told yet")
				a.finish("250 2.0.0 rest")
				assert.Equal(t, tt.heard, s.heard(), "all are told at the end")
			})
		})
	}
}

// HST-13: a host that does not read holds up nobody who settles.
func TestAnswersDoNotWaitForTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := &stuckConn{release: make(chan struct{})}
		const n = 3000 // several times what is gathered
		a := newAnswers(newReplies(stuck, &Config{}, func() {}), n)
		a.stream()
		long := replyNumber(0)
		*long += strings.Repeat("x", 100)
		for i := range n {
			a.give(i, long)
		}
		synctest.Wait()
		require.Less(t, stuck.octets, n*len(*long), "the host has not read all")
		close(stuck.release)
		a.finish("")
		a.out.flush()
		assert.Equal(t, n*len(*long+"\r\n"), stuck.octets, "everything is told when it reads again")
	})
}

// A stuckConn takes no write before it is released.
type stuckConn struct {
	sheet
	release chan struct{}
	octets  int
}

func (s *stuckConn) Write(p []byte) (int, error) {
	<-s.release
	s.octets += len(p)
	return len(p), nil
}

// Outcomes that come one after another are told a few at a time, and none much later than it came.
func TestAnswersAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10000
		s, a := newAnswerSheet(n)
		a.stream()
		began := time.Now()
		for i := range n {
			a.give(i, replyNumber(i))
			time.Sleep(50 * time.Microsecond)
			synctest.Wait()
		}
		a.finish("")
		spent := time.Since(began)
		assert.Len(t, s.heard(), n, "all are told")
		assert.LessOrEqual(t, len(s.written()), int(spent/linger)+1, "with at most one write in each %s", linger)
	})
}
