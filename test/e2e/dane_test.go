package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/dnssec"
	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A promised is a row of domains below secure.example, whose exchangers say in the zone which keys they have.
type promised struct {
	name     string
	zone     string // in which PORT is the port of all exchangers, FITS, NAMED, PLAIN and WEB are addresses, and GOOD, OTHER and ROOT hashes
	reply    string
	policy   string // of the delivery record
	verified bool
	door     string // that the mail came through; "" where it was not delivered
}

// How replies tell of TLS, as regular expressions.
const (
	daneVerified  = `250 2\.0\.0 .*dane verified\) said: 250`
	viaKey        = `250 2\.0\.0 mx\.(?:key|alias)\.secure\.example\[.*dane verified\) said: 250` // one host, told by the name that was known first
	stsVerified   = `250 2\.0\.0 .*mta-sts verified\) said: 250`
	opportunistic = `250 2\.0\.0 .*\(TLSv1\.3 [A-Z0-9_]+\) said: 250`
	inClear       = `250 2\.0\.0 \S+\]:\d+ said: 250`
	noSTARTTLS    = `451 4\.7\.[45] .*STARTTLS`
)

// RFC 7672: section 2.2 says when a TLSA record binds, 3.1 which do, 2.1.2 what happens when there may be some and nobody can tell.
var promises = []promised{
	{"key", exchanging("key", "FITS", "3 1 1 GOOD"), daneVerified, "dane", true, "fits"},
	{"rollover", exchanging("rollover", "FITS", "3 1 1 OTHER", "3 1 1 GOOD"), daneVerified, "dane", true, "fits"},
	{"anchor", exchanging("anchor", "NAMED", "2 1 1 ROOT"), daneVerified, "dane", true, "named"},
	{"alias", "alias MX 10 mx.alias\nmx.alias CNAME mx.key\n", daneVerified, "dane", true, "fits"},
	{"cname", "cname CNAME key\n", daneVerified, "dane", true, "fits"},
	{"implicit", "implicit A FITS\n_PORT._tcp.implicit TLSA 3 1 1 GOOD\n", daneVerified, "dane", true, "fits"},
	{"any.wild", "*.wild MX 10 mx.key\n", daneVerified, "dane", true, "fits"},
	{"abroad", "abroad MX 10 mx.insecure.example.\n", opportunistic, "", false, "fits"},

	{"wrong", exchanging("wrong", "FITS", "3 1 1 OTHER"), `451 4\.7\.5 .*mx\.wrong\.secure\.example\[`, "dane", false, ""},
	{"second", "second MX 10 mx.wrong\nsecond MX 20 mx.key\n", viaKey, "dane", true, "fits"},
	{"plain", exchanging("plain", "PLAIN", "3 1 1 GOOD"), noSTARTTLS, "dane", false, ""},
	{"unusable", exchanging("unusable", "FITS", "1 1 1 OTHER"), `250 2\.0\.0 .*TLSv1\.3.*\) said: 250`, "dane", false, "fits"},
	{"unusableplain", exchanging("unusableplain", "PLAIN", "1 1 1 OTHER"), noSTARTTLS, "dane", false, ""},
	{"none", exchanging("none", "FITS"), opportunistic, "", false, "fits"},
	{"noneplain", exchanging("noneplain", "PLAIN"), inClear, "", false, "plain"},
	{"spoilt", exchanging("spoilt", "FITS", "3 1 1 "+written), `451 4\.[47]\.\d .*TLSA`, "", false, ""},
	{"spared", "spared MX 10 mx.spoilt\nspared MX 20 mx.key\n", viaKey, "dane", true, "fits"},

	// RFC 8461 section 2: "MUST NOT allow MTA-STS Policy validation to override a failing DANE validation"; without DANE it counts.
	{"overrule", exchanging("overrule", "NAMED", "3 1 1 GOOD") + announcing("overrule"), `451 4\.7\.5 .*mx\.overrule\.`, "dane", false, ""},
	{"both", exchanging("both", "FITS", "3 1 1 GOOD") + announcing("both"), daneVerified, "dane", true, "fits"},
	{"web", exchanging("web", "NAMED") + announcing("web"), stsVerified, "mta-sts", true, "named"},
}

// exchanging is what a domain below secure.example has in its zone: an exchanger of its own, with an address and TLSA records.
func exchanging(name, addr string, tlsa ...string) string {
	zone := fmt.Sprintf("%s MX 10 mx.%s\nmx.%s A %s\n", name, name, name, addr)
	for _, record := range tlsa {
		zone += fmt.Sprintf("_PORT._tcp.mx.%s TLSA %s\n", name, record)
	}
	return zone
}

// announcing is what it has beside, to announce an MTA-STS policy.
func announcing(name string) string {
	return fmt.Sprintf("_mta-sts.%s TXT \"v=STSv1; id=1;\"\nmta-sts.%s A WEB\n", name, name)
}

// What a record has that is changed behind its signature's back, and then.
const (
	written = "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"
	changed = "FEDCBA9876543210FEDCBA9876543210FEDCBA9876543210FEDCBA9876543210"
)

// startSigned serves zones in front of which a resolver validates. It is the world's DNS server; addr is any mail host's.
func startSigned(t *testing.T, addr string, zones ...dnssec.Zone) zoned {
	t.Helper()
	w, err := dnssec.Start(zones)
	require.NoError(t, err, "the zones are served (test/e2e/need)")
	t.Cleanup(func() { assert.NoError(t, w.Close(), "the servers end") })
	return zoned{w.Recursor(), portOf(t, addr)}
}

// A kept is a world of signed zones whose exchangers are doors of a Postfix.
type kept struct {
	*postfix
	mailbox *exchanger
	doors   map[string]door
	world   zoned
	roots   string // a file
}

// startKept starts the zones secure.example and insecure.example, which is not signed.
func startKept(t *testing.T) *kept {
	t.Helper()
	feedd.NeedPostfix(t)
	ca := mxsim.NewAuthority("DANE CA")
	fits := mxsim.SelfSigned(mxsim.Order{Names: []string{"localhost"}})
	named := ca.Issue("mx.anchor.secure.example", "mx.overrule.secure.example", "mx.web.secure.example")
	policies := map[string]string{}
	for _, name := range []string{"overrule", "both", "web"} {
		policies[name+".secure.example"] = policyText("enforce", "mx."+name+".secure.example")
	}
	web, addrs := startPublisher(t, ca, policies), newAddrs(t, 3)
	k := &kept{roots: writeFile(t, "roots.pem", ca.PEM()), doors: map[string]door{
		"fits":  {"fits", addrs[0], []string{"smtpd_tls_security_level=may", "smtpd_tls_chain_files=" + chainFile(t, fits)}},
		"named": {"named", addrs[1], []string{"smtpd_tls_security_level=may", "smtpd_tls_chain_files=" + chainFile(t, named)}},
		"plain": {"plain", addrs[2], []string{"smtpd_tls_security_level=none"}},
	}}
	hash := func(octets []byte) string { return fmt.Sprintf("%x", octets) }
	fill := strings.NewReplacer("PORT", fmt.Sprint(portOf(t, addrs[0])), "WEB", web.ip,
		"FITS", k.doors["fits"].ip(), "NAMED", k.doors["named"].ip(), "PLAIN", k.doors["plain"].ip(),
		"GOOD", hash(fits.TLSA(3, 1, 1)), "OTHER", hash(named.TLSA(3, 1, 1)), "ROOT", hash(named.TLSA(2, 1, 1)))
	secure := "$ORIGIN secure.example.\n"
	for _, p := range promises {
		secure += fill.Replace(p.zone)
	}
	insecure := "$ORIGIN insecure.example.\n" +
		fill.Replace("@ MX 10 mx\nmx A FITS\n_PORT._tcp.mx TLSA 3 1 1 OTHER\n"+exchanging("plain", "PLAIN", "3 1 1 GOOD"))
	k.world = startSigned(t, addrs[0],
		dnssec.Zone{Name: "secure.example.", Text: secure, Spoil: func(signed string) string { return strings.Replace(signed, written, changed, 1) }},
		dnssec.Zone{Name: "insecure.example.", Text: insecure, Unsigned: true})
	k.postfix, k.mailbox = startDoors(t, []door{k.doors["fits"], k.doors["named"], k.doors["plain"]})
	return k
}

// tls is a configuration that keeps to both kinds of promises.
func (k *kept) tls() string {
	return fmt.Sprintf("mode = \"opportunistic\"\ndane = true\nmta_sts = true\nroots = %q", k.roots)
}

func TestDANEWithARealSignedZone(t *testing.T) {
	t.Parallel()
	k := startKept(t)
	t.Run("each recipient goes where its zone's TLSA records let it", k.keeps)
	t.Run("sessions that are resumed are as good as others", k.resumes)
	t.Run("a resolver that is not trusted is not believed", k.distrusts)
}

func (k *kept) keeps(t *testing.T) {
	d := feedd.Start(t, feedd.Config{World: k.world, TLS: k.tls()})
	var to, arrive []string
	for _, p := range promises {
		to = append(to, "a@"+p.name+".secure.example")
		if p.door != "" {
			arrive = append(arrive, "a@"+p.name+".secure.example")
		}
	}
	// Without signatures TLSA records are anybody's words, and mail goes as if there were none.
	to, arrive = append(to, "a@insecure.example", "a@plain.insecure.example"), append(arrive, "a@insecure.example", "a@plain.insecure.example")
	l := lhlo(t, d)
	replies := mail{from: sender, to: to, content: "Subject: promised\r\n\r\n"}.deliver(l)
	l.quit()
	for i, p := range promises {
		assert.Regexp(t, "^"+p.reply, replies[i], "%s: the reply", p.name)
		r := d.Recorded(t, len(to), to[i])
		assert.Equal(t, p.verified, r.TLSVerified, "%s: what the record says of the certificate", p.name)
		if p.door != "" {
			assert.Equal(t, p.policy, r.TLSPolicy, "%s: the record's policy", p.name)
			assert.Equal(t, k.doors[p.door].ip(), r.Addr, "%s: the exchanger", p.name)
		}
	}
	for i := len(promises); i < len(to); i++ {
		assert.Regexp(t, `^250 2\.0\.0 `, replies[i], "%s: the mail is delivered", to[i])
		assert.Empty(t, d.Recorded(t, len(to), to[i]).TLSPolicy, "%s: without a policy", to[i])
	}
	assert.ElementsMatch(t, arrive, passedOn(t, k.mailbox, len(arrive)), "who has the mail")
	k.told(t, k.doors["plain"], "connect from") // the host without TLS was asked
	k.explain(t, d)
}

// explain asks why recipients at one address do not share a session.
func (k *kept) explain(t *testing.T, d *feedd.Daemon) {
	t.Helper()
	status, out := runToEnd(t, "explain", "-c", d.Path("smtpfeed.toml"), "a@key.secure.example", "a@none.secure.example", "a@spoilt.secure.example")
	assert.Zero(t, status, "all of that can be explained")
	_, why, _ := strings.Cut(out, "\nNOT SHARED\n")
	address := regexp.QuoteMeta(k.doors["fits"].addr)
	assert.Regexp(t, `^`+address+`: .*key\.secure\.example: dane .*none\.secure\.example: opportunistic`, why, "the policies differ")
	assert.Regexp(t, `(?m)^spoilt\.secure\.example .*TLSA`, why, "and what cannot be known is no policy")
}

// resumes sends mail over two sessions. The second is resumed (RFC 8446 section 2.2), which has no certificate of its own to look at.
func (k *kept) resumes(t *testing.T) {
	d := feedd.Start(t, feedd.Config{World: k.world, SMTP: `idle_timeout = "1ms"`, TLS: k.tls()})
	l := lhlo(t, d)
	to := []string{"a@key.secure.example", "a@none.secure.example", "a@wrong.secure.example"}
	for n := range 2 {
		replies := mail{from: sender, to: to, content: fmt.Sprintf("Subject: resumed %d\r\n\r\n", n)}.deliver(l)
		assert.Regexp(t, "^"+daneVerified, replies[0], "mail %d: the certificate is the one that the zone names", n)
		assert.Regexp(t, "^"+opportunistic, replies[1], "mail %d: this domain's zone names none", n)
		assert.Regexp(t, `^451 4\.7\.5 `, replies[2], "mail %d: and this one's another, whatever sessions there were", n)
		require.Eventually(t, func() bool { return d.Status(t).Feed.Sessions == 0 }, feedd.Patience, polling, "mail %d: the sessions are over", n)
	}
	l.quit()
	k.told(t, k.doors["fits"], "Reusing old session") // a session was resumed
}

// distrusts sends mail to a host whose TLSA record does not fit, by an smtpfeed that does not trust the resolver when it says that an
// answer was validated. (Loopback is trusted by default.)
func (k *kept) distrusts(t *testing.T) {
	d := feedd.Start(t, feedd.Config{World: k.world, DNS: `trust_ad = ["192.0.2.53/32"]`, TLS: k.tls()})
	l := lhlo(t, d)
	reply := mail{from: sender, to: []string{"a@wrong.secure.example"}, content: "Subject: distrusted\r\n\r\n"}.deliver(l)[0]
	l.quit()
	assert.Regexp(t, "^"+opportunistic, reply, "TLSA records are not looked at")
	assert.Empty(t, d.Recorded(t, 1, "a@wrong.secure.example").TLSPolicy, "the record says so")
}
