package resources

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/hostsim"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// startWorld makes an internet that ends with the test.
func startWorld(t *testing.T, c internet.Config) *internet.World {
	t.Helper()
	w, err := internet.Start(c)
	require.NoError(t, err, "the world begins")
	t.Cleanup(w.Close)
	return w
}

// content is a message that differs from others by its number.
func content(number, size int) []byte {
	b := fmt.Appendf(make([]byte, 0, size+100), "Subject: number %d\r\n\r\n", number)
	for len(b) < size {
		b = append(b, "The quick brown fox jumps over the lazy dog, as it ever did before.\r\n"...)
	}
	return b
}

// deliver hands one message over on a connection of its own. It returns the reply to each recipient, and how long the last one took from
// the final dot: what lmtp.budget is about.
func (p *program) deliver(m hostsim.Message) (outcomes []hostsim.Reply, took time.Duration, err error) {
	c, err := hostsim.Dial("unix", p.path("lmtp.sock"))
	if err != nil {
		return nil, 0, err
	}
	defer c.Close()
	r, err := c.Deliver(m, nil)
	if err != nil {
		return nil, 0, err
	}
	outcomes = r.Outcomes()
	return outcomes, max(0, outcomes[len(outcomes)-1].At-r.Dot), nil
}

// mustDeliver is deliver when nothing can go wrong between the host and smtpfeed.
func (p *program) mustDeliver(t *testing.T, m hostsim.Message) (outcomes []hostsim.Reply, took time.Duration) {
	t.Helper()
	outcomes, took, err := p.deliver(m)
	require.NoError(t, err, "smtpfeed answers the host")
	require.Len(t, outcomes, len(m.To), "every recipient is answered")
	return outcomes, took
}

// tally counts replies by the code and what follows it.
func tally(outcomes []hostsim.Reply) map[string]int {
	counts := map[string]int{}
	for _, o := range outcomes {
		counts[fmt.Sprintf("%d %.5s", o.Code, o.Text)]++
	}
	return counts
}
