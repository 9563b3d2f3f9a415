package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
)

// A postfix is an instance of Postfix that delivers by its own smtp(8).
type postfix struct {
	host *hosts.Postfix
	name string

	mu     sync.Mutex
	read   int                           // octets of the log that were read
	ledger map[string]map[string]outcome // by queue id and recipient: the first outcome of each
}

// dnsForPostfix is where the world's DNS server must be for Postfix: resolv.conf has no ports.
const dnsForPostfix = "127.0.53.54"

// startPostfix starts an instance in a world of sockets.
func startPostfix(t *testing.T, w *sockets, level string) *postfix {
	t.Helper()
	feedd.NeedPostfix(t)
	dir := feedd.NewDir(t, "conformance-")
	transport := filepath.Join(dir, "transport")
	require.NoError(t, os.WriteFile(transport, []byte(together()), 0o644), "Postfix's routing is written")
	settings := []string{"transport_maps = texthash:" + transport, "enable_long_queue_ids = yes",
		"default_process_limit = 200", "soft_bounce = no", "inet_protocols = ipv4", "smtp_quit_timeout = 1s", "smtp_rset_timeout = 1s"}
	settings = append(settings, tlsOfPostfix(t, dir, level)...)
	if w.speed > 1 {
		settings = append(settings, "smtp_connect_timeout = 3s", "smtp_helo_timeout = 3s", "smtp_mail_timeout = 3s", "smtp_rcpt_timeout = 3s",
			"smtp_data_init_timeout = 2s", "smtp_data_xfer_timeout = 2s", "smtp_data_done_timeout = 6s")
	}
	host, err := hosts.NewPostfix(hosts.Setup{Dir: dir, Settings: settings, World: hosts.World{DNS: dnsForPostfix, Port: fmt.Sprint(w.smtp)}})
	require.NoError(t, err, "there is an instance of Postfix")
	require.NoError(t, host.Start(), "Postfix starts")
	t.Cleanup(func() { assert.NoError(t, host.Stop(), "Postfix ends") })
	feedd.ShowOnFailure(t, host.Log())
	return &postfix{host: host, name: host.Name(), ledger: map[string]map[string]outcome{}}
}

// levelFor is the level of TLS by which Postfix does what a setup wants of smtpfeed.
func levelFor(s setup) string {
	level := map[string]string{"": "may", "off": "none", "required": "encrypt", "verified": "secure"}[s.tls]
	if s.dane && level == "may" {
		return "dane"
	}
	return level
}

// tlsOfPostfix are the settings for a level of TLS.
func tlsOfPostfix(t *testing.T, dir, level string) []string {
	roots := filepath.Join(dir, "roots.pem")
	require.NoError(t, os.WriteFile(roots, authority().PEM(), 0o644), "the authority is known")
	return []string{"smtp_tls_security_level = " + level, "smtp_tls_CAfile = " + roots, "smtp_tls_secure_cert_match = .test", "smtp_dns_support_level = dnssec",
		"smtp_starttls_timeout = 2s", "smtp_tls_loglevel = 1", "smtp_tls_protocols = >=TLSv1"}
}

// together sends both domains of a row by one lookup: Postfix does not group by exchanger, and would need two transactions.
func together() string {
	var b strings.Builder
	for n := range 5000 {
		label := namesOf(n, false).label
		fmt.Fprintf(&b, "two.%s.test smtp:one.%s.test\n", label, label)
	}
	return b.String()
}

func (p *postfix) learned(string) (text string, known bool) { return "", false }
func (p *postfix) told() bool                               { return false }

// deliver submits a message and waits until the log says what became of everybody the first time.
func (p *postfix) deliver(m message) ([]outcome, error) {
	replies, err := hosts.Submit(p.host.Addr(), hosts.Mail{From: m.from, To: m.to, Content: m.content})
	if err != nil {
		return nil, err
	}
	id := replies[0][strings.LastIndexByte(replies[0], ' ')+1:]
	return p.wait(id, m.to)
}

// deferredWithin bounds the wait for Postfix: the longest of its timeouts, several times.
const deferredWithin = 60 * time.Second

func (p *postfix) wait(id string, to []string) ([]outcome, error) {
	for end := time.Now().Add(deferredWithin); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		if err := p.follow(); err != nil {
			return nil, err
		}
		if outcomes, ok := p.outcomes(id, to); ok {
			return outcomes, nil
		}
	}
	outcomes, _ := p.outcomes(id, to)
	return outcomes, errors.New("Postfix has not told of everybody within a minute")
}

func (p *postfix) outcomes(id string, to []string) (outcomes []outcome, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all = true
	for _, r := range to {
		o, ok := p.ledger[id][r]
		outcomes, all = append(outcomes, o), all && ok
	}
	return outcomes, all
}

// aboutRecipient is a line about a recipient, of whichever of Postfix's programs.
var aboutRecipient = regexp.MustCompile(`: ([0-9A-Za-z]+): to=<([^>]*)>,.* dsn=([0-9.]+), status=(\w+) \((.*)\)$`)

// follow reads what has been added to the log.
func (p *postfix) follow() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, err := os.ReadFile(p.host.Log())
	if err != nil {
		return err
	}
	for {
		end := bytes.IndexByte(text[p.read:], '\n')
		if end < 0 {
			return nil
		}
		line := string(text[p.read : p.read+end])
		p.read += end + 1
		if f := aboutRecipient.FindStringSubmatch(line); f != nil {
			p.note(f[1], f[2], f[3], f[4]+": "+f[5])
		}
	}
}

func (p *postfix) note(id, to, dsn, text string) {
	if p.ledger[id] == nil {
		p.ledger[id] = map[string]outcome{}
	}
	if _, known := p.ledger[id][to]; !known {
		class := map[byte]string{'2': "OK", '4': "T", '5': "P"}[dsn[0]]
		p.ledger[id][to] = outcome{class: class, status: dsn, text: text}
	}
}
