package resources

import (
	"bufio"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hostsim"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// fewDescriptors is the limit of open files in these tests.
var fewDescriptors = []string{"prlimit", "--nofile=256:256"}

func TestFewDescriptors(t *testing.T) {
	tests := []struct {
		rule string
		idle int // host MTAs that are connected and say nothing
	}{
		{"a list to a thousand hosts goes out over the sessions that fit", 0},
		{"with more host MTAs than descriptors", 300},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) { checkFewDescriptors(t, tt.idle) })
	}
}

func checkFewDescriptors(t *testing.T, idle int) {
	c := internet.Config{Domains: 1000, Hosts: 1000, RTT: 5 * time.Millisecond, Processing: 50 * time.Millisecond, DNSDelay: 5 * time.Millisecond}
	w := startWorld(t, c)
	p := start(t, setup{limits: fewDescriptors, dns: w.DNSAddr(), port: w.Port(), lmtp: "budget = \"300s\"", smtp: "idle_timeout = \"1s\""})
	p.warm(t)
	before := p.footprint(t)
	host, err := hostsim.Dial("unix", p.path("lmtp.sock"))
	require.NoError(t, err, "a host MTA is connected")
	defer host.Close()
	var silent []net.Conn
	for range idle {
		conn, err := net.Dial("unix", p.path("lmtp.sock"))
		require.NoError(t, err, "others connect")
		defer conn.Close()
		silent = append(silent, conn)
	}
	m := hostsim.Message{From: "list@sender.test", To: internet.List(c, 1000), Body: content(0, 2000)}
	began := time.Now()
	r, err := host.Deliver(m, nil)
	require.NoError(t, err, "smtpfeed answers the host")
	took := time.Since(began)
	outcomes := r.Outcomes()
	require.Len(t, outcomes, len(m.To), "every recipient is answered")
	during := p.footprint(t)
	s := p.status(t)
	t.Logf("answered in %v: %v; %d dials, %d failed; %v", took.Round(time.Millisecond), tally(outcomes), s.Feed.Dials, s.Feed.DialsFailed, during)

	report, counts := w.Report(), tally(outcomes)
	assert.Equal(t, counts["250 2.0.0"], report.Recipients, "who counts as delivered has the message")
	assert.Zero(t, report.Duplicates.Count, "once")
	for _, o := range outcomes {
		assert.Contains(t, []int{250, 450, 451, 452}, o.Code, "and nobody is bounced for our want of descriptors")
	}
	assert.Len(t, m.To, counts["250 2.0.0"], "want of descriptors slows mail down, and no more")

	for _, conn := range silent {
		conn.Close()
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		conn, err := net.Dial("unix", p.path("lmtp.sock"))
		if !assert.NoError(c, err, "LMTP accepts") {
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Second))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		assert.Contains(c, line, "220 ", "and greets")
	}, feedd.Patience, 50*time.Millisecond, "when others are gone LMTP works as before")
	p.settle(t, before)
}
