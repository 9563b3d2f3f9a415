package lists

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// A sympa is what Sympa is told in sympa.conf.
type sympa struct {
	nrcpt   int // recipients a packet: 25 by default
	avg     int // recipients a packet after which a new domain begins another one: 10 by default
	maxsmtp int // sendmail processes: 40 by default. As long as there are fewer, Sympa pauses for 0.3 s after each packet
}

// hand gives Postfix a list as Sympa does: the code of its outgoing spool and of its mailer, by sendmail(1).
func (c sympa) hand(t *testing.T, s *system, to []string) {
	t.Helper()
	sendmail := s.postfix.Sendmail()
	p := exec.Command("/usr/bin/perl", "testdata/sympa.pl", unpacked("sympa", "usr/share/sympa/lib"), sendmail.Path,
		strings.Join(append(sendmail.Args[1:], "-oi", "-odi", "-oem"), " "), // behind the instance's, Sympa's by default
		strconv.Itoa(c.nrcpt), strconv.Itoa(c.avg), strconv.Itoa(c.maxsmtp))
	p.Stdin = strings.NewReader(strings.Join(to, "\n") + "\n")
	out, err := p.CombinedOutput()
	require.NoError(t, err, "Sympa hands the list over: %s", out)
}

// Sympa's own senders, by verp_rate, have this form (Sympa::List::get_bounce_address), and bounces to it are read by its
// bounced.pl.
func TestPersonalSendersAsSympaMakesThem(t *testing.T) {
	const rule = `
[[verp]]
sender = "list-owner@` + listDomain + `"
template = "bounce+{local}==a=={domain}==list@` + listDomain + `"
`
	r := run{what: "Sympa, by smtpfeed", world: batchedWorld(), tables: rule, hand: sympa{20_000, 20_000, 40}.hand}
	r.world.Sender = "bounce+{local}==a=={domain}==list@" + listDomain
	r.to = internet.List(r.world, 300)
	assert.Equal(t, len(r.to), r.measure(t).transactions, "each has a transaction of his own")
}
