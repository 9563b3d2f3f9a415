package e2e

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// polling is how often something is looked at that is waited for.
const polling = 10 * time.Millisecond

// A door is one more SMTP server of a Postfix, with an address and settings of its own: to those who connect, a mail host of its
// own. Starting a Postfix takes a second or two, and a door nothing.
type door struct {
	name     string // in the log its lines come from "postfix/NAME/smtpd"
	addr     string // "IP:PORT"
	settings []string
}

// host is the door as routes name it.
func (d door) host() string { return bracketed(d.addr) }

// ip is its address without the port.
func (d door) ip() string { return hostOf(d.addr) }

func bracketed(addr string) string {
	ip, port, _ := strings.Cut(addr, ":")
	return "[" + ip + "]:" + port
}

func hostOf(addr string) string {
	ip, _, _ := strings.Cut(addr, ":")
	return ip
}

// newAddrs are addresses of servers to be: all with the same port, as exchangers have, and nobody listens on any. Each call has a network of
// its own in 127.0.0.0/8, for other ports too, which no client's port is taken from. Who listens on its last address has it until the test
// ends, whichever test, or program of tests, that is.
func newAddrs(t *testing.T, n int) (addrs []string) {
	t.Helper()
	const networks = 250
	first, err := rand.Int(rand.Reader, big.NewInt(networks))
	require.NoError(t, err, "there is randomness")
	for i := range networks {
		network := fmt.Sprintf("127.44.%d.", (int(first.Int64())+i)%networks)
		claim, err := net.Listen("tcp", network+"254:4444")
		if err != nil {
			continue
		}
		t.Cleanup(func() { claim.Close() })
		return unusedIn(t, network, n)
	}
	require.Fail(t, "there is a network that nobody has")
	return nil
}

// unusedIn are n addresses of a network of ours; the first one chooses the port for all.
func unusedIn(t *testing.T, network string, n int) (addrs []string) {
	t.Helper()
	port := "0"
	for i := 1; i <= n; i++ {
		l, err := net.Listen("tcp", fmt.Sprintf("%s%d:%s", network, i, port))
		require.NoError(t, err, "there are unused addresses")
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
		_, port, _ = net.SplitHostPort(l.Addr().String())
	}
	return addrs
}

// startDoors starts a Postfix that takes mail through its doors, and passes it on to a host where the test reads it.
func startDoors(t *testing.T, doors []door) (p *postfix, mailbox *exchanger) {
	t.Helper()
	p, mailbox = newDoors(t, doors)
	startHost(t, p)
	return p, mailbox
}

// newDoors is startDoors without the start.
func newDoors(t *testing.T, doors []door) (p *postfix, mailbox *exchanger) {
	t.Helper()
	feedd.NeedPostfix(t)
	mailbox = startExchanger(t, mxsim.Config{})
	settings := []string{
		"inet_protocols = ipv4",
		"smtp_dns_support_level = disabled",
		"smtp_tls_security_level = none",
		"default_transport = smtp:" + mailbox.host,
		"relay_transport = smtp:" + mailbox.host,
		"smtpd_tls_loglevel = 2",
		"smtpd_tls_received_header = yes",
	}
	dir := feedd.NewDir(t, "postfix-")
	h, err := hosts.NewPostfix(hosts.Setup{Dir: dir, World: hosts.World{Port: "25"}, Settings: settings})
	require.NoError(t, err, "there is an instance of Postfix")
	feedd.ShowOnFailure(t, h.Log())
	p = &postfix{h, dir}
	p.open(t, doors)
	return p, mailbox
}

// open adds doors to a Postfix that has not been started yet. They stand in front: its master listens in this order, and who starts it
// waits for its own address.
func (p *postfix) open(t *testing.T, doors []door) {
	t.Helper()
	var b strings.Builder
	for _, d := range doors {
		fmt.Fprintf(&b, "%s inet n - n - - smtpd\n  -o syslog_name=postfix/%s\n", d.addr, d.name)
		for _, s := range d.settings {
			fmt.Fprintf(&b, "  -o { %s }\n", s)
		}
	}
	services := filepath.Join(p.dir, "master.cf")
	text, err := os.ReadFile(services)
	require.NoError(t, err, "there is a list of services")
	require.NoError(t, os.WriteFile(services, append([]byte(b.String()), text...), 0o644), "doors are added to it")
}

// through are the lines that a door has logged.
func (p *postfix) through(t *testing.T, d door) []string {
	return feedd.LinesWith(feedd.ReadLog(t, p.Log()), "postfix/"+d.name+"/smtpd[")
}

// told waits until a door has logged these words: what Postfix logs goes through another process, which may come to it after the reply.
func (p *postfix) told(t *testing.T, d door, words string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.NotEmpty(c, feedd.LinesWith(strings.Join(p.through(t, d), "\n"), words), "lines with %q", words)
	}, feedd.Patience, polling, "%s tells of it", d.name)
}

// counted waits for the end of n sessions at a door, and returns the counts of commands of each, as "ehlo=1 mail=2 quit=1 commands=4".
func (p *postfix) counted(t *testing.T, d door, n int) (all []string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		all = nil
		for _, line := range p.through(t, d) {
			if m := disconnected.FindStringSubmatch(line); m != nil {
				all = append(all, m[1])
			}
		}
		assert.Len(c, all, n, "sessions that have ended")
	}, feedd.Patience, polling, "Postfix tells of the sessions at %s", d.name)
	return all
}

// secured is what Postfix writes into Received of a session with TLS: version and cipher.
var secured = regexp.MustCompile(`\(using (TLSv1\.[23]) with cipher (\S+) `)

// chainFile makes a file with the key and the certificates of an identity, as smtpd_tls_chain_files wants it.
func chainFile(t *testing.T, id *mxsim.Identity) string {
	t.Helper()
	chain, key := id.PEM()
	return writeFile(t, "chain.pem", append(key, chain...))
}

// writeFile makes a file in a directory of its own that everybody can reach.
func writeFile(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(feedd.NewDir(t, "file-"), name)
	require.NoError(t, os.WriteFile(path, text, 0o600), "there is a file")
	return path
}
