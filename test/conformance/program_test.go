package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
)

// A program is the smtpfeed process, and a host MTA in front of it.
type program struct {
	dir string
	cmd *exec.Cmd
}

// hurry is by how much the timeouts of a hurried mailer are divided.
const hurry = 100

// startProgram starts smtpfeed in a world of sockets.
func startProgram(t *testing.T, w *sockets, s setup) *program {
	t.Helper()
	p := &program{dir: feedd.NewDir(t, "conformance-")}
	require.NoError(t, p.configure(p.config(w, s)), "smtpfeed is configured")
	log, err := os.Create(p.path("log"))
	require.NoError(t, err, "smtpfeed has a log")
	defer log.Close()
	p.cmd = exec.Command(os.Getenv(feedd.BinaryVariable), "serve", "-c", p.path("smtpfeed.toml"))
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=50") // its default is a second at every end
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, p.cmd.Start(), "smtpfeed starts")
	t.Cleanup(func() { p.end(t) })
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		h, err := p.connect()
		if assert.NoError(c, err, "smtpfeed takes connections: %s", feedd.ReadLog(t, p.path("log"))) {
			h.conn.Close()
		}
	}, feedd.Patience, 10*time.Millisecond, "smtpfeed answers")
	return p
}

func (p *program) path(name string) string { return filepath.Join(p.dir, name) }

// configure writes smtpfeed's configuration, and what that speaks of.
func (p *program) configure(text string) error {
	return errors.Join(os.WriteFile(p.path("roots.pem"), authority().PEM(), 0o600), os.WriteFile(p.path("smtpfeed.toml"), []byte(text), 0o600))
}

// config is smtpfeed's configuration.
func (p *program) config(w *sockets, s setup) string {
	var b strings.Builder
	fmt.Fprintf(&b, "hostname = \"feed.conformance.test\"\n[lmtp]\nlisten = [%q]\nrequiretls = %v\n", "unix:"+p.path("lmtp.sock"), s.private)
	fmt.Fprintf(&b, "[dns]\nservers = [%q]\ntimeout = \"15s\"\n[log]\ndeliveries = %q\nlevel = \"warn\"\n[ledger]\npath = \"\"\n[admin]\nlisten = \"\"\n",
		w.dns.Addr(), p.path("deliveries.jsonl"))
	// With hundreds of rows at once on a busy machine half a second is no sign that a host does not answer, nor 5 s that the DNS does not.
	fmt.Fprintf(&b, "[smtp]\nport = %d\nprohibited = []\nhedge_delay = \"20s\"\n", w.smtp)
	if w.speed > 1 {
		b.WriteString("timeouts = { greeting = \"3s\", hello = \"3s\", starttls = \"1s\", mail = \"3s\", rcpt = \"3s\", data = \"1.2s\", body = \"1.8s\", final = \"6s\" }\n")
	}
	if s.sessionsPerHost > 0 {
		fmt.Fprintf(&b, "sessions_per_host = %d\n", s.sessionsPerHost)
	}
	if s.perTransaction > 0 {
		fmt.Fprintf(&b, "recipients_per_transaction = %d\n", s.perTransaction)
	}
	if s.always {
		b.WriteString("piggyback = \"always\"\n")
	}
	if s.chunkingFrom > 0 {
		fmt.Fprintf(&b, "chunking_from = \"%dB\"\n", s.chunkingFrom)
	}
	if s.idle > 0 {
		fmt.Fprintf(&b, "idle_timeout = %q\n", s.idle)
	}
	return b.String() + s.smtp + "\n" + p.tls(s) + s.tables
}

// tls is its section tls.
func (p *program) tls(s setup) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[tls]\nroots = %q\ndane = %v\nmta_sts = %v\npolicies = \"\"\n", p.path("roots.pem"), s.dane, s.sts)
	switch s.tls {
	case "off", "required":
		fmt.Fprintf(&b, "mode = %q\n", s.tls)
	case "verified":
		b.WriteString("[[tls.destination]]\ndomain = \".test\"\nmode = \"verified\"\nnames = [\".test\"]\n")
	}
	return b.String()
}

// end ends the process, which must end well and have found no fault of its own.
func (p *program) end(t *testing.T) {
	assert.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM), "smtpfeed runs to the end")
	hung := time.AfterFunc(feedd.Patience, func() { p.cmd.Process.Signal(syscall.SIGABRT) }) // prints all goroutines to the log
	err := p.cmd.Wait()
	assert.True(t, hung.Stop(), "smtpfeed ends when told to")
	assert.NoError(t, err, "smtpfeed ends well")
	bad := feedd.LinesWith(feedd.ReadLog(t, p.path("log")), "DATA RACE", "BUG", "panic", "level=ERROR")
	assert.Empty(t, bad, "smtpfeed finds no fault of its own")
}

func (p *program) learned(string) (text string, known bool) { return "", false }
func (p *program) told() bool                               { return false }

// patience is how long a whole transaction with smtpfeed may take. No row over sockets has a reason to wait for a minute, but on a machine
// that does much else dozens of large contents at once take their time.
const patience = 5 * time.Minute

// deliver is a host MTA's transaction.
func (p *program) deliver(m message) ([]outcome, error) {
	h, err := p.connect()
	if err != nil {
		return nil, err
	}
	defer h.conn.Close()
	return h.deliver(m)
}

// A hostMTA is the host's side of one LMTP connection.
type hostMTA struct {
	conn net.Conn
	in   *bufio.Reader
}

// connect opens an LMTP connection, up to the reply to LHLO.
func (p *program) connect() (*hostMTA, error) {
	c, err := net.Dial("unix", p.path("lmtp.sock"))
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	h := &hostMTA{conn: c, in: bufio.NewReader(c)}
	if _, err = h.reply(); err == nil {
		_, err = h.ask("LHLO host.conformance.test")
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return h, nil
}

// reply reads a reply, and returns its last line.
func (h *hostMTA) reply() (string, error) {
	for {
		line, err := h.in.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("smtpfeed's reply: %w (so far %q)", err, line)
		}
		line = strings.TrimSuffix(line, "\r\n")
		if len(line) < 4 || line[3] != '-' {
			return line, nil
		}
	}
}

// ask writes a command and reads its reply.
func (h *hostMTA) ask(line string) (string, error) {
	if _, err := fmt.Fprintf(h.conn, "%s\r\n", line); err != nil {
		return "", err
	}
	return h.reply()
}

// deliver is one transaction: what is refused at RCPT is the outcome of that recipient.
func (h *hostMTA) deliver(m message) ([]outcome, error) {
	outcomes := make([]outcome, len(m.to))
	mail := "MAIL FROM:<" + m.from + ">"
	if m.private {
		mail += " REQUIRETLS"
	}
	if r, err := h.ask(mail); err != nil || r[0] != '2' {
		return nil, errors.Join(err, fmt.Errorf("MAIL: %s", r))
	}
	var accepted []int
	for i, to := range m.to {
		r, err := h.ask("RCPT TO:<" + to + ">")
		if err != nil {
			return nil, err
		}
		if r[0] == '2' {
			accepted = append(accepted, i)
		}
		outcomes[i] = outcomeOfReply(r)
	}
	if len(accepted) == 0 {
		return outcomes, nil
	}
	return outcomes, h.content(m, outcomes, accepted)
}

// askedWithin bounds the wait for questions that a mailer may have no reason to ask.
const askedWithin = time.Second

// content sends the content and reads the replies of those accepted.
func (h *hostMTA) content(m message, outcomes []outcome, accepted []int) error {
	select {
	case <-m.asked:
	case <-time.After(askedWithin):
	}
	if r, err := h.ask("DATA"); err != nil || r[0] != '3' {
		return errors.Join(err, fmt.Errorf("DATA: %s", r))
	}
	if _, err := h.conn.Write([]byte(hosts.Stuff(m.content) + ".\r\n")); err != nil {
		return err
	}
	for _, i := range accepted {
		r, err := h.reply()
		if err != nil {
			return err
		}
		outcomes[i] = outcomeOfReply(r)
	}
	_, err := h.ask("QUIT")
	return err
}
