package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A fate is where a recipient ends.
type fate string

const (
	delivered fate = "delivered"
	deferred  fate = "deferred" // in Postfix's queue
	bounced   fate = "bounced"  // told to the sender
)

// What well-behaved hosts say up to where the scripts below leave them.
var (
	greeted  = mxsim.Reply("220 mx.broken.test ESMTP")
	hello    = mxsim.Hello("mx.broken.test", "PIPELINING", "8BITMIME")
	mailed   = mxsim.Seq(hello, mxsim.Expect("MAIL FROM:<"))
	envelope = mxsim.Seq(mailed, mxsim.Expect("RCPT TO:<"), mxsim.Expect("DATA"))
	invited  = mxsim.Seq(envelope, mxsim.Reply("250 ok", "250 ok", "354 go"))
	finished = mxsim.Seq(invited, mxsim.ReadBody())
)

// A breakage is a mail host that breaks off, or says no, somewhere. Alone it is a domain's only exchanger; paired there is a
// second one that works.
type breakage struct {
	name   string // the domain's, too
	script mxsim.Script
	alone  fate
	words  string // what is told then, behind the host's address, as a regular expression
	paired fate
}

const (
	lost = `4\.4\.2 .*connection (lost|reset)`
	said = ` said: `
)

// RFC 5321 section 4.2.1: 4xx and a lost connection leave hope, 5xx to MAIL, RCPT, DATA or the content does not. Before MAIL all
// trouble is the host's and not the mail's. Once the end of data was written, silence may mean that the mail was taken: no
// other host may get it then. The content is short here, so that its end is under way when a host breaks off inside it.
var breakages = []breakage{
	{"drop-at-greeting", mxsim.Script{mxsim.Drop()}, deferred, lost, delivered},
	{"reset-at-greeting", mxsim.Script{greeted, mxsim.Reset()}, deferred, `4\.4\.[12] .*connection (lost|reset)`, delivered},
	{"drop-at-ehlo", mxsim.Script{greeted, mxsim.Expect("EHLO "), mxsim.Drop()}, deferred, lost, delivered},
	{"drop-at-mail", mxsim.Script{mailed, mxsim.Drop()}, deferred, lost, delivered},
	{"drop-at-rcpt", mxsim.Script{envelope, mxsim.Reply("250 ok"), mxsim.Drop()}, deferred, lost, delivered},
	{"drop-at-data", mxsim.Script{envelope, mxsim.Reply("250 ok", "250 ok"), mxsim.Drop()}, deferred, lost, delivered},
	{"drop-in-short-content", mxsim.Script{invited, mxsim.ReadOctets(20), mxsim.Drop()}, deferred, lost, deferred},
	{"drop-after-dot", mxsim.Script{finished, mxsim.Drop()}, deferred, lost, deferred},
	{"half-a-final-reply", mxsim.Script{finished, mxsim.Send("250 2.0"), mxsim.Drop()}, deferred, lost, deferred},
	{"rubbish-after-dot", mxsim.Script{finished, mxsim.Reply("\x1b[2Jwhat?")}, deferred, `4\.5\.0 .*\?\[2Jwhat`, deferred},

	{"554-at-greeting", mxsim.Script{mxsim.Reply("554 5.3.2 closed"), mxsim.Bye()}, deferred, said + "554 5.3.2 closed", delivered},
	{"421-at-greeting", mxsim.Script{mxsim.Reply("421 4.3.2 busy"), mxsim.Drop()}, deferred, said + "421 4.3.2 busy", delivered},
	{"421-at-ehlo", mxsim.Script{greeted, mxsim.Expect("EHLO "), mxsim.Reply("421 4.3.2 busy"), mxsim.Drop()}, deferred,
		said + "421 4.3.2 busy", delivered},
	{"451-at-mail", mxsim.Script{envelope, mxsim.Reply("451 4.7.1 later", "503 no MAIL", "503 no MAIL")}, deferred, said + "451 4.7.1 later", delivered},
	{"550-at-mail", mxsim.Script{envelope, mxsim.Reply("550 5.7.1 not from you", "503 no MAIL", "503 no MAIL")}, bounced,
		said + "550 5.7.1 not from you", bounced},
	{"451-at-rcpt", mxsim.Script{envelope, mxsim.Reply("250 ok", "451 4.2.1 later", "503 no RCPT")}, deferred, said + "451 4.2.1 later", delivered},
	{"550-at-rcpt", mxsim.Script{envelope, mxsim.Reply("250 ok", "550 5.1.1 nobody", "503 no RCPT")}, bounced, said + "550 5.1.1 nobody", bounced},
	{"451-at-data", mxsim.Script{envelope, mxsim.Reply("250 ok", "250 ok", "451 4.3.5 later")}, deferred, said + "451 4.3.5 later", delivered},
	{"554-at-data", mxsim.Script{envelope, mxsim.Reply("250 ok", "250 ok", "554 5.7.0 no")}, bounced, said + "554 5.7.0 no", bounced},
	{"451-after-dot", mxsim.Script{finished, mxsim.Reply("451 4.7.1 later")}, deferred, said + "451 4.7.1 later", delivered},
	{"554-after-dot", mxsim.Script{finished, mxsim.Reply("554 5.7.1 spam")}, bounced, said + "554 5.7.1 spam", bounced},
	{"421-after-dot", mxsim.Script{finished, mxsim.Reply("421 4.3.2 busy"), mxsim.Drop()}, deferred, said + "421 4.3.2 busy", delivered},
}

// longBreakages are for a content that is longer than what two kernels keep of it: its end was not written yet.
var longBreakages = []breakage{
	{"drop-in-content", mxsim.Script{invited, mxsim.ReadOctets(20), mxsim.Drop()}, deferred, `4\.4\.2 `, delivered},
	{"reset-in-content", mxsim.Script{invited, mxsim.ReadOctets(20), mxsim.Reset()}, deferred, `4\.4\.2 `, delivered},
	{"452-in-content", mxsim.Script{invited, mxsim.ReadOctets(20), mxsim.Reply("452 4.3.1 full"), mxsim.Drop()}, deferred, `4\.`, delivered},
}

func TestHostsThatBreakOffAnywhere(t *testing.T) {
	b := startBroken(t, breakages, longBreakages)
	b.try(t, breakages, "Subject: list\r\n\r\nFor everybody.\r\n")
	const uncertain = 4 // breakages by which the content may have been taken
	assert.EqualValues(t, 2*uncertain, b.feed.Idle(t).Feed.Uncertain, "smtpfeed knows what it does not know")
	b.try(t, longBreakages, "Subject: long\r\n\r\n"+strings.Repeat(strings.Repeat("x", 76)+"\r\n", 9<<20/78))
	assert.EqualValues(t, 2*uncertain, b.feed.Idle(t).Feed.Uncertain, "a content without its end cannot have been taken")
}

// A brokenWorld is a system whose domains have hosts that break off.
type brokenWorld struct {
	*system
	works *exchanger
	host  map[string]string // by address: the host that breaks off, as replies name it
}

func startBroken(t *testing.T, lists ...[]breakage) *brokenWorld {
	t.Helper()
	b := &brokenWorld{works: startExchanger(t, mxsim.Config{}), host: map[string]string{}}
	routes := map[string][]string{}
	for _, br := range slices.Concat(lists...) {
		alone, paired := startScript(t, br.script), startScript(t, br.script)
		routes["alone."+br.name+".test"] = []string{alone}
		routes["paired."+br.name+".test"] = []string{paired, b.works.host}
		b.host["a@alone."+br.name+".test"], b.host["a@paired."+br.name+".test"] = alone, paired
	}
	b.system = startSystem(t, systemConfig{world: internet.Config{Domains: 1, Hosts: 1}, feed: feedd.Config{Routes: routes}})
	return b
}

// try sends one mail to all domains of these breakages and checks where each recipient ends.
func (b *brokenWorld) try(t *testing.T, list []breakage, content string) {
	t.Helper()
	var to []string
	for _, br := range list {
		to = append(to, "a@alone."+br.name+".test", "a@paired."+br.name+".test")
	}
	submit(t, b.postfix, mail{from: sender, to: to, content: content})
	ends := b.ends(t)
	for _, br := range list {
		b.check(t, "a@alone."+br.name+".test", ends, br.alone, br.words)
		b.check(t, "a@paired."+br.name+".test", ends, br.paired, "")
	}
}

// An end is where a recipient was found, and why.
type end struct {
	fate  fate
	words string
}

// ends looks for recipients at the host that works, in Postfix's queue and in what it returned to the sender.
func (b *brokenWorld) ends(t *testing.T) map[string][]end {
	t.Helper()
	all := map[string][]end{}
	for _, q := range settled(t, b.postfix, feedd.Patience) {
		all[q.Address] = append(all[q.Address], end{deferred, q.Reason})
	}
	for _, f := range b.returns.failures() {
		all[f.recipient] = append(all[f.recipient], end{bounced, f.status + " " + f.diagnostic})
	}
	for _, to := range b.works.accepted() {
		all[to] = append(all[to], end{delivered, ""})
	}
	return all
}

func (b *brokenWorld) check(t *testing.T, address string, ends map[string][]end, want fate, words string) {
	t.Helper()
	e := ends[address]
	if !assert.Len(t, e, 1, "%s ends in one place", address) {
		return
	}
	assert.Equal(t, want, e[0].fate, "the fate of %s: %s", address, e[0].words)
	if want != delivered {
		assert.Contains(t, e[0].words, b.host[address], "%s: the host that breaks off is named", address)
		assert.Regexp(t, words, e[0].words, "%s: what happened is told", address)
	}
}
