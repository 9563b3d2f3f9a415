package e2e

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// relayName is what the relays' good certificates are for.
const relayName = "smtp.relay.test"

// A relayed is a row of relays: a domain, the door that its route leads to, what the route says beside, and what comes of it.
type relayed struct {
	name   string // the domain's, too
	door   string
	route  string // more lines of [[route]], which lists door; AUTH and WRONG are files with credentials
	reply  string
	method string // by which the relay let it in; "" where it did not
}

// RFC 4954 section 4 and RFC 8314: credentials go to a relay that has shown whose it is, and to no other unless the operator says so.
// Whatever is wrong can be set right, so that no mail bounces. (4.7.8 is RFC 4954's "authentication credentials invalid".)
var relays = []relayed{
	{"plain", "submission", `auth = AUTH`, `250 2\.0\.0 .*verified\) said: 250`, "PLAIN"},
	{"login", "login", `auth = AUTH`, `250 2\.0\.0 .*verified\) said: 250`, "LOGIN"},
	{"named", "submission", `auth = AUTH`, `250 2\.0\.0 smtp\.relay\.test\[.*verified\) said: 250`, "PLAIN"},
	{"implicit", "submissions", `auth = AUTH`, `250 2\.0\.0 .*verified\) said: 250`, "PLAIN"},
	{"nobody", "submission", "tls = \"verified\"", `554 5\.7\.1 .*verified\) said: 554 5\.7\.1 .*: (Relay access|Recipient address rejected: Access) denied`, ""},
	{"wrong", "submission", `auth = WRONG`, `451 4\.7\.8 .*PLAIN was refused.*535 5\.7\.8 `, ""},
	{"broken", "broken", `auth = AUTH`, `45[01] 4\.7\.\d .*454 4\.7\.0 `, ""},
	{"nothing", "bare", `auth = AUTH`, `451 4\.7\.[45] .*STARTTLS`, ""},
	{"self", "self", `auth = AUTH`, `451 4\.7\.5 .*certificate`, ""},
	{"other", "other", `auth = AUTH`, `451 4\.7\.5 .*certificate`, ""},
	{"spare", "submission", `auth = AUTH`, `250 2\.0\.0 .*\]:587 .*verified\) said: 250`, "PLAIN"}, // "other" stands before it
	{"scram", "scram", `auth = AUTH`, `451 4\.7\.8 .*SCRAM-SHA-256`, ""},
	{"clear", "clear", "auth = AUTH\nauth_in_clear = true\ntls = \"opportunistic\"", `250 2\.0\.0 .*\]:\d+ said: 250`, "PLAIN"},
}

// relayDoors are the relays.
func relayDoors(t *testing.T, ca *mxsim.Authority) map[string]door {
	t.Helper()
	addrs := newAddrs(t, 9)
	at := func(i int, port string) string { return net.JoinHostPort(hostOf(addrs[i]), port) } // nobody else is at these addresses
	good := "smtpd_tls_chain_files=" + chainFile(t, ca.Issue(relayName))
	self := "smtpd_tls_chain_files=" + chainFile(t, mxsim.SelfSigned(mxsim.Order{Names: []string{relayName}}))
	other := "smtpd_tls_chain_files=" + chainFile(t, ca.Issue("other.relay.test"))
	const startTLS, only = "smtpd_tls_security_level=may", "smtpd_tls_auth_only=yes"
	return map[string]door{
		"submission":  {"submission", at(0, "587"), authorized(good, startTLS, only)},
		"submissions": {"submissions", at(1, "465"), authorized(good, "smtpd_tls_wrappermode=yes")},
		"login":       {"login", addrs[2], authorized(good, startTLS, only, "smtpd_sasl_path=login")},
		"scram":       {"scram", addrs[3], authorized(good, startTLS, only, "smtpd_sasl_path=scram")},
		// "454 4.7.0 Temporary authentication failure"
		"broken": {"broken", addrs[8], authorized(good, startTLS, only, "smtpd_sasl_path=broken")},
		// These take credentials in clear, too: a client that sends them has given them away.
		"self":  {"self", addrs[4], authorized(self, startTLS)},
		"other": {"other", addrs[5], authorized(other, startTLS)},
		"clear": {"clear", addrs[6], authorized("smtpd_tls_security_level=none")},
		"bare":  {"bare", addrs[7], authorized("smtpd_tls_security_level=none")},
	}
}

// relayTables are the routes to the relays, with two files of credentials.
func relayTables(doors map[string]door, right, wrong string) string {
	files := strings.NewReplacer("AUTH", fmt.Sprintf("%q", right), "WRONG", fmt.Sprintf("%q", wrong))
	var b strings.Builder
	for _, r := range relays {
		where := fmt.Sprintf("hosts = [%q]\nnames = [%q]", doors[r.door].host(), relayName)
		switch r.name {
		case "named": // whose certificate must be for the name that the route has
			where = fmt.Sprintf("hosts = [%q]", relayName+":587")
		case "spare":
			where = fmt.Sprintf("hosts = [%q, %q]\nnames = [%q]", doors["other"].host(), doors["submission"].host(), relayName)
		case "clear":
			where = fmt.Sprintf("hosts = [%q]", doors[r.door].host())
		}
		fmt.Fprintf(&b, "[[route]]\ndomain = %q\n%s\n%s\n", r.name+".test", where, files.Replace(r.route))
	}
	return b.String()
}

func TestRelaysGetCredentialsOnlyOverVerifiedTLS(t *testing.T) {
	t.Parallel()
	ca := mxsim.NewAuthority("Relay CA")
	doors := relayDoors(t, ca)
	var all []door
	for _, d := range doors {
		all = append(all, d)
	}
	p, mailbox := newDoors(t, all)
	p.admit(t)
	startHost(t, p)
	right, wrong := credentials(t, relayUser, relayPassword, 0o640), credentials(t, relayUser, "swordfish", 0o600)
	d := feedd.Start(t, feedd.Config{
		World:  startZoned(t, doors["submission"].addr, relayName+". A "+doors["submission"].ip()),
		TLS:    fmt.Sprintf("mode = \"opportunistic\"\nroots = %q", writeFile(t, "roots.pem", ca.PEM())),
		Tables: relayTables(doors, right, wrong),
		Log:    `level = "debug"`,
	})
	d.Pardon("relay: ") // what is wrong with credentials is the operator's to mend
	var to, arrive []string
	for _, r := range relays {
		to = append(to, "a@"+r.name+".test")
		if r.method != "" {
			arrive = append(arrive, "a@"+r.name+".test")
		}
	}
	l := lhlo(t, d)
	replies := mail{from: sender, to: to, content: "Subject: relayed\r\n\r\n"}.deliver(l)
	again := mail{from: sender, to: []string{"a@plain.test"}, content: "Subject: again\r\n\r\n"}.deliver(l)[0]
	assert.Regexp(t, `^250 2\.0\.0 `, again, "who is known once need not say it again")
	assert.True(t, d.Recorded(t, len(relays)+1, "a@plain.test").Reused, "the session is used again")
	l.quit()
	for i, r := range relays {
		assert.Regexp(t, "^"+r.reply, replies[i], "%s: the reply", r.name)
		checkRelay(t, p, doors[r.door], r)
	}
	arrive = append(arrive, "a@plain.test")
	assert.ElementsMatch(t, arrive, passedOn(t, mailbox, len(arrive)), "and nobody else has it")
	log := feedd.ReadLog(t, d.Path("log"))
	assert.NotEmpty(t, feedd.LinesWith(log, "535 5.7.8"), "smtpfeed's log tells of the wrong password")
	checkSecret(t, log+strings.Join(replies, "\n"), relayPassword, "swordfish")

	// What was wrong is mended, and smtpfeed started again.
	text, err := os.ReadFile(right)
	require.NoError(t, err, "there are credentials")
	require.NoError(t, os.WriteFile(wrong, text, 0o600), "the password is set right")
	d.Terminate(t)
	d.Wait(t)
	d.Start(t)
	l = lhlo(t, d)
	m := mail{from: sender, to: []string{"a@wrong.test"}, content: "Subject: relayed\r\n\r\n"}
	assert.Regexp(t, `^250 2\.0\.0 .*verified\) said: 250`, m.deliver(l)[0], "the mail that waited is delivered")
	l.quit()
}

// checkSecret looks for passwords in a text, as they are and as AUTH sends them (RFC 4616, LOGIN).
func checkSecret(t *testing.T, text string, passwords ...string) {
	t.Helper()
	for _, p := range passwords {
		for _, form := range []string{p, "\x00" + relayUser + "\x00" + p} {
			assert.NotContains(t, text, form, "neither the log, with all that it can tell, nor a reply has a password")
			assert.NotContains(t, text, base64.StdEncoding.EncodeToString([]byte(form)), "in no form")
		}
	}
}

// checkRelay looks for what a relay has seen of a recipient, and of credentials.
func checkRelay(t *testing.T, p *postfix, d door, r relayed) {
	t.Helper()
	if r.method != "" {
		p.told(t, d, "sasl_method="+r.method+", sasl_username="+relayUser)
		return
	}
	switch r.name {
	case "nobody": // others do say who they are at this door
	case "wrong", "broken":
		p.told(t, d, "SASL PLAIN authentication failed")
	default:
		said := strings.Join(p.through(t, d), "\n")
		assert.Empty(t, feedd.LinesWith(said, "auth=", "sasl_", "SASL"), "%s: the relay sees no credentials", r.name)
	}
}

// passedOn waits until mail for n recipients was passed on to the mailbox.
func passedOn(t *testing.T, mailbox *exchanger, n int) []string {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, mailbox.accepted(), n, "recipients") },
		feedd.Patience, polling, "the mail is passed on")
	return mailbox.accepted()
}

// A password that everybody on the machine can read is none: smtpfeed does not begin, and says what to do.
func TestCredentialsThatOthersCanReadAreRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, text string
		mode       os.FileMode
		says       string
	}{
		{"for all to read", "user = \"u\"\npassword = \"p\"\n", 0o644, "chmod"},
		{"for all to write", "user = \"u\"\npassword = \"p\"\n", 0o602, "chmod"},
		{"without a password", "user = \"u\"\n", 0o600, "password"},
		{"with a slip of the pen", "user = \"u\"\npasword = \"p\"\n", 0o600, "want only lines"},
		{"empty", "", 0o600, "user"},
	} {
		t.Run(row.name, func(t *testing.T) {
			auth := writeFile(t, "auth.toml", []byte(row.text))
			require.NoError(t, os.Chmod(auth, row.mode), "the file's mode is set")
			w := startWorld(t, internet.Config{Domains: 1, Hosts: 1})
			dir := feedd.NewDir(t, "smtpfeed-")
			conf := filepath.Join(dir, "smtpfeed.toml")
			text := feedd.Config{World: w, TLS: `mode = "opportunistic"`,
				Tables: fmt.Sprintf("[[route]]\ndomain = \"relay.test\"\nhosts = [\"[127.0.0.1]:587\"]\nauth = %q\n", auth)}.Text(dir)
			require.NoError(t, os.WriteFile(conf, []byte(text), 0o600), "there is a configuration")
			for _, command := range []string{"check", "serve"} {
				status, out := runToEnd(t, command, "-c", conf)
				const exConfig = 78 // sysexits.h
				assert.Equal(t, exConfig, status, "%s refuses the configuration", command)
				assert.Contains(t, out, auth, "%s names the file", command)
				assert.Contains(t, out, row.says, "%s says what is wrong", command)
			}
		})
	}
}

// runToEnd runs smtpfeed, which ends by itself, and returns its exit status and what it printed.
func runToEnd(t *testing.T, args ...string) (status int, out string) {
	t.Helper()
	c := exec.Command(os.Getenv(feedd.BinaryVariable), args...)
	text, err := c.CombinedOutput()
	if err != nil {
		require.IsType(t, &exec.ExitError{}, err, "smtpfeed runs")
	}
	return c.ProcessState.ExitCode(), string(text)
}
