package security

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostileAddresses are paths with each octet there is, in each place of an address, and then such as are known to have made
// something of some program.
func hostileAddresses() (all []string) {
	for c := range 256 {
		octet := string([]byte{byte(c)})
		all = append(all,
			"a"+octet+"b@kept.test", `"a`+octet+`b"@kept.test`, `"a\`+octet+`b"@kept.test`, octet+"@kept.test", "a@"+octet+"kept.test",
			"a@kept"+octet+"test", "a@kept.test"+octet, "a@["+octet+"127.0.0.1]", "@"+octet+":a@kept.test")
	}
	return append(all,
		"a@kept.test>\r\nRCPT TO:<forged@kept.test", "a@kept.test>\nRCPT TO:<forged@kept.test", "a@kept.test>\rRCPT TO:<forged@kept.test",
		"a@kept.test> SIZE=0 BODY=8BITMIME AUTH=<>", "a@kept.test> NOTIFY=NEVER ORCPT=rfc822;x", `"a@kept.test> NOTIFY=NEVER"@kept.test`,
		`"a\"@kept.test>\r\nDATA\r\n"@kept.test`, `"a"@kept.test>"@kept.test`, `a@kept.test"`, `"a@kept.test`, `"a"b@kept.test`, `a"b"@kept.test`,
		`a@kept.test>>`, `<a@kept.test`, `a@kept.test,b@kept.test`, `a@kept.test b@kept.test`, `a;b@kept.test`, `a(c)@kept.test`, "a@kept.test\x00.evil.test",
		"a@kept.test\u202e.test", "\u202ea@kept.test", "a\u2028b@kept.test", "a\u0085b@kept.test", "a\u00adb@kept.test", "\ufeffa@kept.test", "a@\uff4bept.test",
		"|/bin/sh@kept.test", "`id`@kept.test", "$(id)@kept.test", "../../etc/passwd@kept.test", "-oProxy@kept.test", "a@-kept.test", "a@kept.test-",
		"a@[127.0.0.1", "a@127.0.0.1]", "a@[IPv6:::1%eth0]", "a@[IPv6:fe80::1%25lo]", "a@[x-tag:y]", "a@[]", "a@[IPv6:]", "a@#127", "a@0x7f000001", "a@2130706433",
		strings.Repeat("a", 900)+"@kept.test",
		strings.Repeat("\u00e4", 400)+"@kept.test", "a@"+strings.Repeat("k.", 500)+"test",
		`","outcome":"delivered","x":"@kept.test`, `"\",\"outcome\":\"delivered\""@kept.test`, "time=2000 level=ERROR@kept.test", "{local}@kept.test", "%s%n@kept.test")
}

// hostileParameters are what may stand behind a path.
func hostileParameters() []string {
	return []string{"SIZE=1\x00", "SIZE=-1", "SIZE=99999999999999999999", "BODY=8BITMIME\rRCPT", "BODY=X\x1b[31m", "AUTH=<\x01>", "SMTPUTF8=1", "X=Y",
		"ENVID=+0D+0ARCPT", "RET=FULL", "NOTIFY=NEVER", "ORCPT=rfc822;+0D+0A", "SIZE=1>\nRCPT TO:<forged@kept.test>", "=\"", "\u202e=1", strings.Repeat("A", 5000)}
}

// pipelined says everything in one go, as a host MTA that has lost its mind, and returns all that is answered. Every line of that
// must be one of a reply.
func pipelined(t *testing.T, d *daemon, commands string) (lines []string) {
	t.Helper()
	conn, err := net.Dial("unix", d.socket())
	require.NoError(t, err, "smtpfeed takes the connection")
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)), "every wait ends")
	_, err = io.WriteString(conn, "LHLO host.security.test\r\n"+commands+"QUIT\r\n")
	require.NoError(t, err, "%q can be sent", commands)
	all, err := io.ReadAll(conn)
	require.NoError(t, err, "smtpfeed ends the connection in order behind %q", commands)
	for line := range strings.Lines(string(all)) {
		line, whole := strings.CutSuffix(line, "\r\n")
		require.True(t, whole && printable.MatchString(line), "behind %q, %q is a line of a reply", commands, line)
		lines = append(lines, line)
	}
	return lines
}

// The codes that the catalogue of faults has for addresses: what cannot be an address is refused for good, and not with a code on
// which a host would suspend all its mail.
var refusal = regexp.MustCompile(`^(?:250|5(?:01 5\.5\.[24]|50 5\.1\.[23]|50 5\.1\.7|50 5\.6\.7|0[0-4] 5\.5\.[1-9])|45[01] 4\.)`)

// transactions are all ways to say an address: as a recipient, to both of smtpfeed's parsers, and as a sender, with VERP and without.
// What is not ASCII is said with and without SMTPUTF8.
func transactions(address string) (all []string) {
	params := []string{""}
	if strings.ContainsFunc(address, func(c rune) bool { return c > '~' }) {
		params = append(params, " SMTPUTF8")
	}
	for _, p := range params {
		all = append(all,
			"MAIL FROM:<a@verp.test>"+p+"\r\nRCPT TO:<"+address+">\r\nRCPT TO:<first@kept.test>\r\nRCPT TO:<"+address+">\r\nDATA\r\n.\r\n",
			"MAIL FROM:<"+address+">"+p+"\r\nRCPT TO:<b@kept.test>\r\nDATA\r\n.\r\n",
			"MAIL FROM:<"+strings.Replace(address, "kept.test", "verp.test", 1)+">"+p+"\r\nRCPT TO:<b@kept.test>\r\nDATA\r\n.\r\n")
	}
	return all
}

// verp makes each recipient of verp.test's messages a sender and a header line of its own.
const verp = `[[verp]]
sender = "*@verp.test"
template = "b+{local}={domain}+{sender_local}@lists.test"
header = "X-To: {local}@{domain}"
max_local = 900
`

func TestNoAddressBecomesAnythingElse(t *testing.T) {
	next := receive(t, leniencies()[0], false)
	d := start(t, setting{routes: []string{"kept.test " + next.at()}, smtp: "prohibited = [\"default\"]\ngather_time = \"0s\"\n", tables: verp})
	for _, address := range hostileAddresses() {
		for _, commands := range transactions(address) {
			for _, line := range pipelined(t, d, commands) {
				if line[3] == ' ' && !strings.HasPrefix(line, "2") && !strings.HasPrefix(line, "354") {
					require.Regexp(t, refusal, line, "%q is refused with a code of the catalogue", address)
				}
			}
		}
	}
	for _, p := range hostileParameters() {
		pipelined(t, d, "MAIL FROM:<a@sender.test> "+p+"\r\nRCPT TO:<b@kept.test>\r\nDATA\r\n.\r\n")
		pipelined(t, d, "MAIL FROM:<a@sender.test>\r\nRCPT TO:<b@kept.test> "+p+"\r\nDATA\r\n.\r\n")
		pipelined(t, d, "MAIL FROM:<a@sender.test>\r\nRCPT TO:<first@kept.test>\r\nRCPT TO:<b@kept.test> "+p+"\r\nDATA\r\n.\r\n")
	}
	commandsAreCommands(t, next)
	headersAreLines(t, next.taken())
	clean(t, d)
}

// commandsAreCommands asserts that the next hop was told nothing but commands, and did not hear of what was forged.
func commandsAreCommands(t *testing.T, next *receiver) {
	t.Helper()
	heard := next.heard()
	assert.Greater(t, len(heard), 1000, "many of the addresses are good")
	for _, line := range heard {
		require.NoError(t, grammatical(line), "the next hop is told one command a line")
		// The pipelined attempt in two lines is two commands of the host's: that one is no injection.
		require.NotContains(t, line, "forged@kept.test> ", "with no parameters of the host's")
	}
}

// headersAreLines asserts that the header lines that a VERP rule adds are one line each.
func headersAreLines(t *testing.T, all []letter) {
	t.Helper()
	for _, l := range all {
		if rest, ok := strings.CutPrefix(l.octets, "X-To: "); ok {
			_, rest, _ = strings.Cut(rest, "\r\n")
			require.Equal(t, ".\r\n", rest, "behind the line is what the content was")
		}
	}
}

// recordKeys are those of a delivery record, in their order.
var recordKeys = []string{"time", "envelope", "queue_id", "from", "to", "domain", "outcome", "uncertain", "code", "enhanced", "reply", "mx", "addr",
	"port", "source", "tls", "tls_policy", "tls_verified", "session", "transaction", "recipients", "reused", "attempts", "delay", "delays"}

// logLine is a line of the log, as log/slog writes text; quoted values hold no control octet. The other one there is says that the disk was
// too busy for some.
var logLine = regexp.MustCompile(`^smtpfeed: [0-9]+ log lines were dropped, because nobody read them$|^time=[0-9TZ:.+-]+ level=(?:DEBUG|INFO|WARN|ERROR) msg=(?:"(?:[^"\\]|\\.)*"|\S+)(?: [a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s"]*))*$`)

// clean asserts that what smtpfeed has written anywhere is what it should be: lines of its own making, in which whatever came from
// outside is quoted, bounded, and nothing that a terminal obeys.
func clean(t *testing.T, d *daemon) {
	t.Helper()
	for line := range wholeLines(d.log(t)) {
		require.Regexp(t, logLine, strings.TrimSuffix(line, "\n"), "a line of the log is smtpfeed's own")
		harmless(t, "the log", line, 4<<10)
	}
	for line := range wholeLines(d.records(t)) {
		harmless(t, "the delivery records", line, 8<<10)
		record(t, line)
	}
	for _, page := range []string{"/status", "/status.json", "/metrics"} {
		text := d.ask(t, page)
		for line := range strings.Lines(text) {
			harmless(t, page, line, 64<<10)
		}
		assert.True(t, page != "/status.json" || json.Valid([]byte(text)), "%s is JSON", page)
	}
}

// wholeLines are the lines of a text, but for one that is just being written.
func wholeLines(text string) iter.Seq[string] {
	return strings.Lines(text[:strings.LastIndexByte(text, '\n')+1])
}

// harmless asserts that a line is bounded and holds nothing but printable characters.
func harmless(t *testing.T, where, line string, most int) {
	t.Helper()
	require.LessOrEqual(t, len(line), most, "a line of %s is bounded: %.200q", where, line)
	for _, c := range strings.TrimSuffix(line, "\n") {
		require.True(t, graphic(c), "nothing in %s but what is printable: %q in %.400q", where, c, line)
	}
}

// graphic is what a terminal shows and nothing obeys: printable ASCII, and letters, marks, numbers and signs of others, which addresses
// have (RFC 6531). Format characters such as U+202E are none of them.
func graphic(c rune) bool {
	return c >= ' ' && c < 0x7f || c > 0xa0 && c != 0xfffd && unicode.IsPrint(c)
}

// record asserts that a line is one delivery record.
func record(t *testing.T, line string) (fields map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(line), &fields), "%q is one object, and all of the line", line)
	var keys []string
	for k := range fields {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	want := slices.Sorted(slices.Values(recordKeys))
	require.Equal(t, want, keys, "with the keys that it has, and no others: %s", line)
	for _, k := range recordKeys { // a forged key would stand there twice
		require.Equal(t, 1, strings.Count(line, fmt.Sprintf(`"%s":`, k)), "%q stands once in %s", k, line)
	}
	return fields
}
