package main

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseProblems(t *testing.T) {
	for _, c := range []struct{ rule, text, want string }{
		{"an unknown key names its neighbour", "\n[smtp]\nsesions = 1\n", `f:3:1: unknown key smtp.sesions; did you mean sessions?`},
		{"an unknown key of a longer name", "[smtp]\nrecipient_per_transaction = 1\n", `f:2:1: unknown key smtp.recipient_per_transaction; did you mean recipients_per_transaction?`},
		{"a key in the wrong section names the right one", "sessions = 1\n", `f:1:1: unknown key sessions; did you mean smtp.sessions?`},
		{"a key nothing resembles has no suggestion", "[smtp]\nxyzzy_plugh = 1\n", `f:2:1: unknown key smtp.xyzzy_plugh`},
		{"an unknown section", "[smpt]\nport = 26\n", `f:1:2: unknown key smpt; did you mean smtp?`},
		{"an unknown key in an inline table", "[smtp]\ntimeouts = { gretting = \"1s\" }\n", `f:2:14: unknown key smtp.timeouts.gretting; did you mean greeting?`},
		{"an unknown key in a route", "[[route]]\ndomain = \"a.b\"\nhost = [\"c\"]\n", `f:3:1: unknown key route.host; did you mean hosts?`},
		{"all unknown keys are told", "a1 = 1\n[lmtp]\nlisten_on = 1\n", "f:1:1: unknown key a1\nf:3:1: unknown key lmtp.listen_on; did you mean listen?"},
		{"broken syntax", "[smtp]\nport = \n", `f:2:8: .*`},
		{"a key twice", "[smtp]\nport = 25\nport = 26\n", `f:3:1: .*already defined.*`},
		{"a string for a number", "[smtp]\nport = \"25\"\n", `f:2:8: smtp.port: a value of type string does not belong here; write a number`},
		{"a string for a list", "[smtp]\nfallback = \"a.example\"\n", `f:2:12: smtp.fallback: a value of type string does not belong here; write a list, as \["..."\]`},
		{"a number for yes or no", "[tls]\ndane = 1\n", `f:2:8: tls.dane: a value of type integer does not belong here; write true or false`},
		{"a list for a text", "[tls]\nmode = [\"off\"]\n", `f:2:8: tls.mode: a value of type array does not belong here; write a text, as "..."`},
		{"a number for a section", "smtp = 3\n", `f:1:8: smtp: a value of type integer does not belong here`},
		{"a section for a value", "[hostname]\n", `f:1:2: hostname: a table does not belong here`},
		{"a port too large", "[smtp]\nport = 70000\n", `f:2:8: smtp.port: integer value 70000 is out of range`},
		{"port 0", "[smtp]\nport = 0\n", `f:2:1: smtp.port: must be from 1 to 65535`},
		{"a duration without a unit", "[dns]\n\ntimeout = 5\n[lmtp]\nbudget = 5\n", `f:3:1: dns.timeout: "5" is not a length of time; write it as "30s" or "9m"`},
		{"a duration in quotes without a unit", "[lmtp]\nbudget = \"540\"\n", `f:2:10: lmtp.budget: "540" is not a length of time; .*`},
		{"a negative duration", "[lmtp]\nbudget = \"-1s\"\n", `f:2:10: lmtp.budget: "-1s" is not a length of time; .*`},
		{"a budget of nothing", "[lmtp]\nbudget = \"0s\"\n", `f:2:1: lmtp.budget: must be at least 1s`},
		{"a timeout of nothing in an inline table", "[smtp]\ntimeouts = { quit = \"0s\" }\n", `f:2:14: smtp.timeouts.quit: must be longer than 0s`},
		{"a size in powers of ten", "[lmtp]\nmemory = \"1GB\"\n", `f:2:10: lmtp.memory: "1GB" is not a size; .*`},
		{"a size past 63 bits", "[lmtp]\nmemory = \"9000000TiB\"\n", `f:2:10: lmtp.memory: "9000000TiB" is not a size; .*`},
		{"a negative size", "[lmtp]\nmemory = -1\n", "f: lmtp.max_message_size: .*\nf:2:1: lmtp.memory: must be larger than 0"},
		{"a message larger than the memory", "[lmtp]\nmax_message_size = \"2GiB\"\n", `f:2:1: lmtp.max_message_size: .* never fits .*`},
		{"a mode in decimal", "[lmtp]\nsocket_mode = \"0680\"\n", `f:2:15: lmtp.socket_mode: "0680" is not a file mode; .*`},
		{"a mode that is a number", "[lmtp]\nsocket_mode = 0o1660\n", `f:2:1: lmtp.socket_mode: "0o1660" is not a file mode; .*`},
		{"an address without a network", "[lmtp]\nlisten = [\"/run/x\"]\n", `f:2:11: lmtp.listen: "/run/x" is not an address to listen on; .*`},
		{"the second address of a list over lines", "[lmtp]\nlisten = [\"tcp:127.0.0.1:24\",\n  \"tcp:x\"]\n", `f:3:3: lmtp.listen: "tcp:x" is not .*`},
		{"an address twice", "[lmtp]\nlisten = [\"tcp:[::1]:24\", \"tcp:[::1]:24\"]\n", `f:2:1: lmtp.listen: tcp:\[::1\]:24 stands here twice`},
		{"LMTP on the network", "[lmtp]\nlisten = [\"tcp::24\"]\n", `f:2:1: lmtp.listen: LMTP knows no authentication: .*`},
		{"an empty address", "[lmtp]\nlisten = [\"\"]\n", `f:2:1: lmtp.listen: the address is empty; .*`},
		{"a DNS server by name", "[dns]\nservers = [\"dns.example.org:53\"]\n", `f:2:12: dns.servers: "dns.example.org:53" is not a DNS server; .*`},
		{"no session", "[smtp]\nsessions = 0\n", `f:2:1: smtp.sessions: must be from 1 to 1000000`},
		{"a window past the IDs", "[dns]\nwindow = 70000\n", `f:2:1: dns.window: must be from 1 to 65000`},
		{"an unknown word", "[smtp]\npiggyback = \"yes\"\n", `f:2:13: smtp.piggyback: "yes" is not one of learned, off, always`},
		{"a number for a word", "[smtp]\nfamily = 4\n", `f:2:1: smtp.family: "4" is not one of any, ipv4, ipv6`},
		{"a level of slog only", "[log]\nlevel = \"info+2\"\n", `f:2:9: log.level: "info\+2" is not one of debug, info, warn, error`},
		{"a range that is none", "[smtp]\nprohibited = [\"10.0.0/8\"]\n", `f:2:15: smtp.prohibited: "10.0.0/8" is not a range .*`},
		{"a range with host bits", "[smtp]\nprohibited = [\"10.1.2.3/8\"]\n", `f:2:15: smtp.prohibited: "10.1.2.3/8" has bits behind its length; did you mean "10.0.0.0/8"\?`},
		{"a source by name", "[smtp]\nsource = [\"mail.example.org\"]\n", `f:2:11: smtp.source: "mail.example.org" is not an address that mail can come from; .*`},
		{"a source that is every address", "[smtp]\nsource = [\"0.0.0.0\"]\n", `f:2:11: smtp.source: "0.0.0.0" is not an address that mail can come from; .*`},
		{"two sources of a family", "[smtp]\nsource = [\"192.0.2.1\", \"192.0.2.2\"]\n", `f:2:1: smtp.source: is one address a family: 192.0.2.1 and 192.0.2.2 are of the same`},
		{"two sources of the second family", "[smtp]\nsource = [\"192.0.2.1\", \"2001:db8::1\", \"2001:db8::2\"]\n", `f:2:1: smtp.source: is one address a family: 2001:db8::1 and 2001:db8::2 are of the same`},
		{"a source that is no address in disguise", "[smtp]\nsource = [\"::ffff:0.0.0.0\"]\n", `f:2:11: smtp.source: "::ffff:0.0.0.0" is not an address that mail can come from; .*`},
		{"a source of the other family", "[smtp]\nfamily = \"ipv4\"\nsource = [\"2001:db8::1\"]\n", `f:3:1: smtp.source: 2001:db8::1 is never used: smtp.family excludes it`},
		{"a fallback that is no host", "[smtp]\nfallback = [\"a b\"]\n", `f:2:1: smtp.fallback: "a b" is not a host; .*`},
		{"a route without a domain", "[[route]]\nhosts = [\"a\"]\n", `f:1:3: route.1: "" is not a domain; .*`},
		{"a route without hosts", "\n[[route]]\ndomain = \"a.b\"\n", `f:2:3: route.1: has no hosts; .*`},
		{"the second route's host", "[[route]]\ndomain=\"a.b\"\nhosts=[\"c\"]\n[[route]]\ndomain=\"d.e\"\nhosts=[\"c:0\"]\n", `f:6:1: route.2.hosts: "c:0" is not a host; .*`},
		{"two routes of one domain", "[[route]]\ndomain=\"a.b\"\nhosts=[\"c\"]\n[[route]]\ndomain=\"A.B\"\nhosts=[\"c\"]\n", `f:5:1: route.2.domain: A.B has a route already`},
		{"a route as inline table", "route = [{ domain = \"a.b\" },\n { domain = \"-\", hosts = [\"c\"] }]\n", "f:.*\nf:2:4: route.2.domain: \"-\" is not a domain; .*"},
		{"a hostname that is none", "hostname = \"mail_?.example\"\n", `f:1:1: hostname: "mail_\?.example" is not a host name .*`},
		{"a personal sender without a recipient", "[[verp]]\nsender = \"a@b.c\"\ntemplate = \"x@b.c\"\n", `f:1:3: verp.1: template "x@b.c": without \{local\} and \{domain\} .*`},
		{"a rule that changes nothing", "[[verp]]\nsender = \"a@b.c\"\n", `f:1:3: verp.1: neither template nor header: .*`},
		{"a size below none", "[smtp]\nchunking_from = -1\n", `f:2:1: smtp.chunking_from: must not be negative; .*`},
		{"a list that waits for its parts too long", "[smtp]\ngather_time = \"61s\"\n", `f:2:1: smtp.gather_time: must be from 0s \(never\) to 1m`},
		{"a host that is never down", "[smtp]\ndown_time = \"0s\"\n", `f:2:1: smtp.down_time: must be longer than 0s`},
		{"limits that are forgotten at once", "[smtp]\nlimits_ttl = \"1s\"\n", `f:2:1: smtp.limits_ttl: must be at least 1m: .*`},
		{"limits that are never believed", "[smtp]\nlimits_ttl = \"0s\"\n", `f:2:1: smtp.limits_ttl: must be longer than 0s`},
		{"TLS verified for everybody", "[tls]\nmode = \"verified\"\n", `f:2:1: tls.mode: "verified" is not one of off, opportunistic, required`},
		{"no tickets", "[tls]\ntickets = 0\n", `f:2:1: tls.tickets: must be from 1 to 10000000`},
		{"a destination without a mode", "[[tls.destination]]\ndomain = \"a.example\"\n", `f:1:3: tls.destination.1: "" is not one of off, opportunistic, required, verified`},
		{"a destination that is no domain", "[[tls.destination]]\ndomain = \"a b\"\nmode = \"off\"\n", `f:2:1: tls.destination.1.domain: "a b" is not a domain; .*`},
		{"a destination that is everybody", "[[tls.destination]]\ndomain = \"*\"\nmode = \"required\"\n", `f:3:1: tls.destination.1.mode: required for every domain is tls.mode's to say, .*`},
		{"a destination verified by no name", "[[tls.destination]]\ndomain = \"a.example\"\nmode = \"verified\"\n", `f:1:3: tls.destination.1: verified needs names = .*`},
		{"names that nobody looks at", "[[tls.destination]]\ndomain = \"a.example\"\nmode = \"required\"\nnames = [\"x.example\"]\n", `f:4:1: tls.destination.1.names: are looked at with verified only`},
		{"the second destination of a domain", "[[tls.destination]]\ndomain = \"a.example\"\nmode = \"off\"\n[[tls.destination]]\ndomain = \"A.example\"\nmode = \"required\"\n", `f:5:1: tls.destination.2.domain: A.example stands here twice`},
		{"a password in clear", "[[route]]\ndomain = \"a.example\"\nhosts = [\"b.example\"]\ntls = \"required\"\nauth = \"/etc/x\"\n", `f:4:1: route.1.tls: auth needs tls = "verified": .*`},
		{"a password in a file somewhere", "[[route]]\ndomain = \"a.example\"\nhosts = [\"b.example\"]\nauth = \"x\"\n", `f:4:1: route.1.auth: "x" is not an absolute path`},
		{"hosts with and without implicit TLS", "[[route]]\ndomain = \"a.example\"\nhosts = [\"b.example:465\", \"b.example\"]\n", `f:3:1: route.1.hosts: TLS from the first octet, .*`},
		{"implicit TLS without TLS", "[[route]]\ndomain = \"a.example\"\nhosts = [\"b.example:465\"]\ntls = \"off\"\n", `f:4:1: route.1.tls: off contradicts implicit_tls and port 465`},
		{"a host MTA that is not waited for", "[lmtp]\ntimeouts = { data = \"0s\" }\n", `f:2:14: lmtp.timeouts.data: must be at least 1s`},
		{"no cache", "[dns]\ncache = 0\n", `f:2:1: dns.cache: must be from 1 to 100000000`},
		{"policies without time", "[tls.sts]\ntimeout = \"0s\"\n", `f:2:1: tls.sts.timeout: must be from 1s to 1m0s`},
		{"policies without end", "[tls.sts]\nmax_size = \"2MiB\"\n", `f:2:1: tls.sts.max_size: must be from 1KiB to 1MiB`},
		{"policies that are never fetched", "[tls.sts]\nfetches = 0\n", `f:2:1: tls.sts.fetches: must be from 1 to 1000`},
		{"policies that are fetched without a pause", "[tls.sts]\nretry = \"5h\"\n", `f:2:1: tls.sts.retry: must be from 1s to 1h0m0s`},
		{"policies that are not kept", "[tls.sts]\ncache = 0\n", `f:2:1: tls.sts.cache: must be from 1 to 10000000`},
		{"reports of the day before yesterday", "[tls.report]\ndelay = \"13h\"\n", `f:2:1: tls.report.delay: must be longer than 0s, and 12h at most`},
		{"reports that go before they are mailed", "[tls.report]\nkeep = \"24h\"\n", `f:2:1: tls.report.keep: must be at least 48h: .*`},
		{"reports on nobody", "[tls.report]\ndomains = 0\n", `f:2:1: tls.report.domains: must be from 1 to 10000000`},
		{"reports on nothing", "[tls.report]\nkinds = 0\n", `f:2:1: tls.report.kinds: must be from 1 to 1000`},
		{"a submission that replies cannot wait for", "[submission]\ntimeout = \"60s\"\n", `f:2:1: submission.timeout: must be from 2s to 40s`},
		{"notifications by nobody", "[lmtp]\ndsn = true\n", `f:2:1: lmtp.dsn: needs submission.host, .*`},
		{"reports mailed by nobody", "[tls.report]\nmail = true\n", `f:2:1: tls.report.mail: needs submission.host and tls.report.directory`},
		{"a submission host that is none", "[submission]\nhost = \"a b\"\n", `f:2:1: submission.host: "a b" is not a host; .*`},
		{"a sender that is none", "[submission]\nfrom = \"me\"\n", `f:2:1: submission.from: "me" is not a mail address; .*`},
		{"a TLS mode that is none", "[tls]\nmode = \"on\"\n", `f:2:1: tls.mode: "on" is not one of off, opportunistic, required`},
		{"a peer nobody knows", "[lmtp]\npeers = [\"nobody-of-that-name\"]\n", `f:2:1: lmtp.peers: no user "nobody-of-that-name" on this machine; write a name of /etc/passwd, or a number`},
		{"LMTP for the network", "[lmtp]\nlisten = [\"tcp:192.0.2.1:24\"]\n", `f:2:1: lmtp.listen: LMTP knows no authentication: .* open_tcp = true`},
		{"a ledger at a relative path", "[ledger]\npath = \"x.db\"\n", `f:2:1: ledger.path: "x.db" is not an absolute path .*`},
		{"a ledger in the delivery records", "[log]\ndeliveries = \"/tmp/x\"\n[ledger]\npath = \"/tmp//x\"\n", `f:4:1: ledger.path: /tmp//x is log.deliveries' file already`},
		{"a ledger synced somehow", "[ledger]\nsync = \"always\"\n", `f:2:1: ledger.sync: "always" is not one of process, power`},
		{"a ledger that is not waited for", "[ledger]\nwait = \"0s\"\n", `f:2:1: ledger.wait: must be longer than 0s`},
		{"a ledger that lingers for ever", "[ledger]\nlinger = \"1000h\"\n", `f:2:1: ledger.linger: must be from "0s" to ledger.keep`},
		{"a ledger that forgets before the host MTA does", "[ledger]\nkeep = \"10m\"\n", `f:2:1: ledger.keep: must be at least 1h: .*`},
		{"a ledger for nobody", "[ledger]\nrecipients = 0\n", `f:2:1: ledger.recipients: must be from 1 to 100000000`},
		{"records that are not waited for", "[log]\nwait = \"0s\"\n", `f:2:1: log.wait: must be longer than 0s`},
		{"records at a relative path", "[log]\ndeliveries = \"x.jsonl\"\n", `f:2:1: log.deliveries: "x.jsonl" is not an absolute path .*`},
		{"the admin socket on the network", "[admin]\nlisten = \"tcp:0.0.0.0:9125\"\n", `f:2:1: admin.listen: must be a loopback address, .*`},
		{"the admin socket is LMTP's", "[admin]\nlisten = \"unix:/run/smtpfeed/lmtp.sock\"\n", `f:2:1: admin.listen: .* is lmtp.listen's address already`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := Parse("f", []byte(c.text))
			require.Error(t, err, "the file is refused")
			assert.IsType(t, Problems{}, err, "the error is a list of problems with their places")
			assert.Regexp(t, "^("+quoteSuggestions(c.want)+")$", err.Error(), "the error names line, column, key and remedy")
		})
	}
}

// quoteSuggestions lets the table write "sessions?" without escaping it.
func quoteSuggestions(want string) string {
	return regexp.MustCompile(`(did you mean [a-z_.]+)\?`).ReplaceAllString(want, `$1\?`)
}

func TestParseValues(t *testing.T) {
	c, err := Parse("f", []byte(`
hostname = "lists.example.org"
[lmtp]
listen = []
memory = "2 GiB"
max_message_size = 1000
[dns]
servers = ["192.0.2.53", "[2001:db8::53]:5353"]
[smtp]
prohibited = ["default", "192.0.2.0/24", "198.51.100.1"]
source = ["192.0.2.10", "2001:db8::10"]
fallback = ["relay.example.org:587", "[IPv6:2001:db8::1]:25"]
timeouts = { final = "10m" }
[[route]]
domain = ".example.net"
hosts = ["[192.0.2.1]:25", "mx.example.net"]
`))
	require.NoError(t, err, "the file is read")
	assert.Empty(t, c.LMTP.Listen, "an empty list replaces the default list")
	assert.Equal(t, Size(2<<30), c.LMTP.Memory, "a space before the unit is fine")
	assert.Equal(t, Size(1000), c.LMTP.MaxMessageSize, "a plain number is octets")
	assert.Equal(t, "192.0.2.53:53", c.DNS.Servers[0].String(), "port 53 may be left out")
	assert.Equal(t, "[2001:db8::53]:5353", c.DNS.Servers[1].String(), "an IPv6 server has brackets")
	assert.Len(t, c.SMTP.Prohibited, 3, "a list replaces the default list")
	assert.False(t, c.SMTP.Prohibited[0].IsValid(), "the word default is the zero prefix")
	assert.Equal(t, "198.51.100.1/32", c.SMTP.Prohibited[2].Prefix.String(), "an address is a range of one")
	assert.Equal(t, []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")}, c.feedConfig(nil, nil).Source, "mail comes from one address a family")
	assert.Equal(t, seconds(600), c.SMTP.Timeouts.Final, "a timeout is set in the inline table")
	assert.Equal(t, seconds(300), c.SMTP.Timeouts.Rcpt, "its neighbours keep their defaults")
	assert.Equal(t, []RouteSection{{Domain: ".example.net", Hosts: []string{"[192.0.2.1]:25", "mx.example.net"}}}, c.Routes, "a route is read")
}

// A limit that an operator sets must be in force: each key is set to what is not its default.
func TestLimitsReachThoseWhoKeepThem(t *testing.T) {
	c, err := Parse("f", []byte(`
[lmtp]
timeouts = { command = "11s", data = "12s", write = "13s" }
[dns]
timeout = "14s"
cache = 15
stale = "16s"
[tls.sts]
timeout = "17s"
max_size = "18KiB"
fetches = 19
retry = "20s"
cache = 21
[tls.report]
delay = "22s"
keep = "230h"
domains = 24
kinds = 25
[submission]
host = "[127.0.0.1]:25"
timeout = "26s"
`))
	require.NoError(t, err, "the file is read")
	l := c.lmtpConfig(nil, nil, nil)
	assert.Equal(t, []time.Duration{11e9, 12e9, 13e9}, []time.Duration{l.CommandTimeout, l.DataTimeout, l.WriteTimeout}, "lmtp")
	r := c.resolverConfig(nil)
	assert.Equal(t, []time.Duration{14e9, 16e9}, []time.Duration{r.Timeout, r.Stale}, "dns")
	assert.Equal(t, 15, r.CacheEntries, "dns.cache")
	s := c.stsConfig()
	assert.Equal(t, []time.Duration{17e9, 20e9}, []time.Duration{s.Timeout, s.Retry}, "tls.sts")
	assert.Equal(t, []int{18 << 10, 19, 21}, []int{int(s.MaxSize), s.Fetches, s.Policies}, "tls.sts")
	rep := c.reportConfig()
	assert.Equal(t, []time.Duration{22e9, 230 * time.Hour}, []time.Duration{rep.Delay, rep.Keep}, "tls.report")
	assert.Equal(t, []int{24, 25}, []int{rep.Domains, rep.Details}, "tls.report")
	sub, err := newSubmitter(c, slog.New(slog.DiscardHandler))
	require.NoError(t, err, "there is a host to submit to")
	defer sub.close()
	assert.Equal(t, 26*time.Second, sub.timeout, "submission.timeout")
}

func TestEffectiveConfigurationReadsBack(t *testing.T) {
	c := defaults()
	c.Hostname = "lists.example.org"
	c.LMTP.Listen = append(c.LMTP.Listen, Listen{"tcp:127.0.0.1:2424"})
	c.LMTP.Memory = 100000001
	c.SMTP.ConnectTimeout.Duration = 1500e6
	c.VERP = []VERPSection{{Sender: "a@b.example", Template: "a+{local}={domain}@b.example", MaxLocal: 100}}
	c.Routes = []RouteSection{{Domain: "a.example", Hosts: []string{"[192.0.2.1]:25"}}, {Domain: "b.example", Hosts: []string{"c.example"}}}
	again, err := Parse("f", []byte(c.String()))
	require.NoError(t, err, "what check prints is a configuration file:\n%s", c)
	assert.Equal(t, c, again, "and says the same")
	assert.Contains(t, c.String(), "[[route]]\n", "routes are printed as the documentation has them")
	assert.Regexp(t, `timeouts = \{.*quit = '2s'\}`, c.String(), "timeouts are an inline table")
}

func TestSampleHoldsEveryDefault(t *testing.T) {
	text, err := os.ReadFile("dist/smtpfeed.toml")
	require.NoError(t, err, "the sample is there")
	c, err := Parse("smtpfeed.toml", text)
	require.NoError(t, err, "the sample is a configuration file")
	assert.Equal(t, defaults(), c, "the sample says the defaults")
	for _, line := range strings.Split(strings.TrimSpace(defaults().String()), "\n") {
		key, _, isKey := strings.Cut(line, " =")
		if isKey {
			assert.Regexp(t, `(?m)^(# )?`+regexp.QuoteMeta(key)+` = .+ # .+`, string(text), "%s stands in the sample with a comment", key)
		}
	}
	uncommented := regexp.MustCompile(`(?m)^# ((hostname|domain|hosts|sender|template|header|max_local|tls|names|implicit_tls|auth|auth_in_clear|mode) = |\[\[(route|verp|tls\.destination)\]\])`).ReplaceAllString(string(text), "$1")
	// A key at the top must stand above the sections, as hostname does.
	c, err = Parse("smtpfeed.toml", []byte(uncommented))
	require.NoError(t, err, "the examples in comments are valid too")
	assert.Len(t, c.Routes, 1, "the example of a route is one")
	assert.Len(t, c.TLS.Destinations, 1, "the example of a destination is one")
	assert.Len(t, c.VERP, 1, "the example of a personal sender is one")
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.toml")
	require.NoError(t, os.WriteFile(empty, nil, 0o600), "a file is written")
	c, err := Load(empty)
	require.NoError(t, err, "an empty file works")
	assert.NotEmpty(t, c.Hostname, "the hostname is the machine's")
	c.Hostname = ""
	assert.Equal(t, defaults(), c, "and everything else has its default")

	_, err = Load(filepath.Join(dir, "none.toml"))
	assert.ErrorContains(t, err, "none.toml: no such file or directory; create it", "a file that was named must be there")
	_, err = Load(dir)
	assert.ErrorContains(t, err, "is a directory", "a directory is no file")
}

func FuzzConfig(f *testing.F) {
	sample, err := os.ReadFile("dist/smtpfeed.toml")
	require.NoError(f, err, "the sample is there")
	f.Add(sample)
	f.Add([]byte("[[route]]\ndomain = 'a.b'\nhosts = ['[192.0.2.1]:25']\n"))
	f.Add([]byte("smtp.timeouts = { greeting = \"1s\" }\nroute = [{domain='x'}]"))
	f.Add([]byte("[lmtp]\nbudget = 540\n"))
	f.Add([]byte("[smtp]\nsesions = 0x10\n[route]\ndomain=''"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("f", text)
		if err != nil {
			require.IsType(t, Problems{}, err, "every error is a list of problems")
			for _, p := range err.(Problems) {
				require.NotEmpty(t, p.Reason, "a problem says what is wrong")
				require.LessOrEqual(t, p.Line, 1+strings.Count(string(text), "\n"), "its line is in the file")
			}
			return
		}
		again, err := Parse("f", []byte(c.String()))
		require.NoError(t, err, "what check prints is valid:\n%s", c)
		require.Equal(t, c.String(), again.String(), "and says the same")
	})
}
