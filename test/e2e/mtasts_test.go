package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A publisher is the web server of all domains with an MTA-STS policy (RFC 8461 section 3.3).
type publisher struct {
	ip       string
	policies map[string]string // by domain, with LF
	fetched  atomic.Int64
	stop     func()
}

// startPublisher serves policies over HTTPS, on the port that cannot be another.
func startPublisher(t *testing.T, ca *mxsim.Authority, policies map[string]string) *publisher {
	t.Helper()
	var names []string
	for domain := range policies {
		names = append(names, "mta-sts."+domain)
	}
	p := &publisher{policies: policies}
	p.ip = hostOf(newAddrs(t, 1)[0])
	l, err := tls.Listen("tcp", net.JoinHostPort(p.ip, "443"), ca.Issue(names...).Config())
	require.NoError(t, err, "root may listen on port 443 of %s", p.ip)
	s := &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan struct{}) // closed when Serve returns
	go func() { defer close(ended); s.Serve(l) }()
	p.stop = func() { s.Close(); <-ended }
	t.Cleanup(p.stop)
	return p
}

// ServeHTTP is the policy of the domain that the client has asked.
func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.fetched.Add(1)
	policy, ok := p.policies[strings.TrimPrefix(r.Host, "mta-sts.")]
	if !ok || r.URL.Path != "/.well-known/mta-sts.txt" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, strings.ReplaceAll(policy, "\n", "\r\n"))
}

// policyText is a policy for these exchangers.
func policyText(mode string, mx ...string) string {
	return "version: STSv1\nmode: " + mode + "\nmx: " + strings.Join(mx, "\nmx: ") + "\nmax_age: 604800\n"
}

// An announced is a row of domains with a policy: their exchangers, names of doors, and what comes of mail.
type announced struct {
	name     string
	policy   string // "" announces one that cannot be had
	mx       []string
	reply    string
	word     string // the record's policy
	verified bool
	door     string // that the mail came through; "" where it was not delivered
}

// RFC 8461: section 5 says what the modes ask for, 4.1 which certificate an exchanger must have.
var announcements = []announced{
	{"good", policyText("enforce", "good.mx.test"), []string{"good"}, stsVerified, "mta-sts", true, "good"},
	{"wild", policyText("enforce", "*.mx.test"), []string{"good"}, stsVerified, "mta-sts", true, "good"},
	{"other", policyText("enforce", "other.mx.test"), []string{"other"}, `451 4\.7\.5 other\.mx\.test\[.*certificate`, "mta-sts", false, ""},
	{"self", policyText("enforce", "self.mx.test"), []string{"self"}, `451 4\.7\.5 self\.mx\.test\[.*certificate`, "mta-sts", false, ""},
	{"plain", policyText("enforce", "plain.mx.test"), []string{"plain"}, noSTARTTLS, "mta-sts", false, ""},
	{"next", policyText("enforce", "other.mx.test", "good.mx.test"), []string{"other", "good"}, stsVerified, "mta-sts", true, "good"},
	{"unnamed", policyText("enforce", "nobody.mx.test"), []string{"good"}, `451 4\.7\.5 .*policy`, "", false, ""},
	{"testing", policyText("testing", "other.mx.test"), []string{"other"}, `250 2\.0\.0 other\.mx\.test\[.*\(TLSv1\.3 [^)]*\) said: 250`, "", false, "other"},
	{"none", policyText("none", "nobody.mx.test"), []string{"self"}, opportunistic, "", false, "self"},
	{"missing", "", []string{"self"}, opportunistic, "", false, "self"},
}

// An enforced is a world of these domains, whose exchangers are doors of a Postfix.
type enforced struct {
	*postfix
	mailbox *exchanger
	doors   map[string]door
	web     *publisher
	world   zoned
	roots   string // a file
}

func startEnforced(t *testing.T) *enforced {
	t.Helper()
	feedd.NeedPostfix(t)
	ca, addrs := mxsim.NewAuthority("Web CA"), newAddrs(t, 4)
	chain := func(id *mxsim.Identity) []string {
		return []string{"smtpd_tls_security_level=may", "smtpd_tls_chain_files=" + chainFile(t, id)}
	}
	e := &enforced{roots: writeFile(t, "roots.pem", ca.PEM()), doors: map[string]door{
		"good":  {"good", addrs[0], chain(ca.Issue("good.mx.test"))},
		"other": {"other", addrs[1], chain(ca.Issue("another.mx.test"))},
		"self":  {"self", addrs[2], chain(mxsim.SelfSigned(mxsim.Order{Names: []string{"self.mx.test"}}))},
		"plain": {"plain", addrs[3], []string{"smtpd_tls_security_level=none"}},
	}}
	policies := map[string]string{}
	for _, a := range announcements {
		policies[a.name+".test"] = a.policy
	}
	delete(policies, "missing.test")
	e.web = startPublisher(t, ca, policies)
	var zone strings.Builder
	var doors []door
	for name, d := range e.doors {
		doors = append(doors, d)
		fmt.Fprintf(&zone, "%s.mx.test. A %s\n", name, d.ip())
	}
	for _, a := range announcements {
		fmt.Fprintf(&zone, "_mta-sts.%s.test. TXT \"v=STSv1; id=1;\"\nmta-sts.%s.test. A %s\n", a.name, a.name, e.web.ip)
		for i, mx := range a.mx {
			fmt.Fprintf(&zone, "%s.test. MX %d %s.mx.test.\n", a.name, i, mx)
		}
	}
	e.world = startZoned(t, addrs[0], zone.String())
	e.postfix, e.mailbox = startDoors(t, doors)
	return e
}

func TestMTASTSWithARealPolicyHost(t *testing.T) {
	t.Parallel()
	e := startEnforced(t)
	d := feedd.Start(t, feedd.Config{World: e.world, TLS: fmt.Sprintf("mode = \"opportunistic\"\nmta_sts = true\nroots = %q", e.roots)})
	e.deliver(t, d, 1)
	fetched := e.web.fetched.Load()
	assert.GreaterOrEqual(t, fetched, int64(len(e.web.policies)), "each policy was fetched")

	// A policy that was had once binds for its max_age, whatever becomes of its host (RFC 8461 section 3.3), and of smtpfeed.
	d.Terminate(t)
	d.Wait(t)
	e.explain(t, d)
	e.web.stop()
	d.Start(t)
	e.deliver(t, d, 2)
	assert.Equal(t, fetched, e.web.fetched.Load(), "nothing could be fetched any more")
}

// deliver sends the nth mail to all domains and checks what comes of it.
func (e *enforced) deliver(t *testing.T, d *feedd.Daemon, nth int) {
	t.Helper()
	var to, arrive []string
	for _, a := range announcements {
		to = append(to, "a@"+a.name+".test")
		if a.door != "" {
			arrive = append(arrive, "a@"+a.name+".test")
		}
	}
	l := lhlo(t, d)
	replies := mail{from: sender, to: to, content: fmt.Sprintf("Subject: announced %d\r\n\r\n", nth)}.deliver(l)
	l.quit()
	for i, a := range announcements {
		assert.Regexp(t, "^"+a.reply, replies[i], "%s, mail %d: the reply", a.name, nth)
		r := d.Recorded(t, nth*len(to), to[i])
		assert.Equal(t, a.verified, r.TLSVerified, "%s, mail %d: what the record says of the certificate", a.name, nth)
		if a.door != "" {
			assert.Equal(t, a.word, r.TLSPolicy, "%s, mail %d: the record's policy", a.name, nth)
			assert.Equal(t, e.doors[a.door].ip(), r.Addr, "%s, mail %d: the exchanger", a.name, nth)
		}
	}
	good, wild := d.Recorded(t, nth*len(to), "a@good.test"), d.Recorded(t, nth*len(to), "a@wild.test")
	assert.Equal(t, good.Session, wild.Session, "mail %d: whose policies want the same share a session", nth)
	assert.ElementsMatch(t, arrive, passedOn(t, e.mailbox, len(arrive)), "mail %d: who has it", nth)
	e.mailbox.Reset()
}

// explain asks smtpfeed what it would do, as an administrator may who is root. It must not touch what belongs to the daemon: a file of root's
// is one that the daemon cannot read.
func (e *enforced) explain(t *testing.T, d *feedd.Daemon) {
	t.Helper()
	before, err := os.Stat(d.Path("policies"))
	require.NoError(t, err, "the daemon keeps policies")
	status, out := runToEnd(t, "explain", "-c", d.Path("smtpfeed.toml"), "a@good.test", "a@none.test", "a@other.test", "a@unnamed.test")
	assert.Zero(t, status, "all of that can be explained")
	assert.Regexp(t, `(?m)^good\.mx\.test .* mta-sts good\.mx\.test `, out, "with the policy")
	assert.Regexp(t, `(?m)^unnamed\.test .*policy`, out, "or what it forbids")
	after, err := os.Stat(d.Path("policies"))
	require.NoError(t, err, "the policies are still there")
	assert.True(t, os.SameFile(before, after), "in the same file")
	assert.Equal(t, before.ModTime(), after.ModTime(), "which nobody has written")
}
