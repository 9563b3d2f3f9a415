package e2e

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// sender is the address that all lists come from.
const sender = "list-owner@sender.test"

// An exchanger is a mail host outside of the world, for domains of a test's own. It keeps what arrives.
type exchanger struct {
	*mxsim.Server
	host string // "[ADDRESS]:PORT", as routes name it
}

func startExchanger(t *testing.T, c mxsim.Config) *exchanger {
	t.Helper()
	c.KeepContent = true
	s, l := mxsim.New(c), listenHost(t)
	s.Start(l)
	t.Cleanup(s.Close)
	return &exchanger{s, literal(l)}
}

// startScript plays a script on each connection to a mail host, and returns it as routes name it.
func startScript(t *testing.T, script mxsim.Script) (host string) {
	t.Helper()
	l := listenHost(t)
	t.Cleanup(mxsim.PlayLoop(l, script).Close)
	return literal(l)
}

func listenHost(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err, "there is a free port")
	return l
}

func literal(l net.Listener) string {
	a := l.Addr().(*net.TCPAddr)
	return "[" + a.IP.String() + "]" + strings.TrimPrefix(a.String(), a.IP.String())
}

// accepted are the recipients that the exchanger has taken, with repetitions.
func (x *exchanger) accepted() (to []string) {
	for _, m := range x.Messages() {
		if m.Accepted() {
			to = append(to, m.To...)
		}
	}
	return to
}

// contents are those of the messages that the exchanger has taken.
func (x *exchanger) contents() (all []string) {
	for _, m := range x.Messages() {
		if m.Accepted() {
			all = append(all, string(m.Content))
		}
	}
	return all
}

// returnMail is the setting by which Postfix delivers mail for sender: not through smtpfeed.
func (x *exchanger) returnMail() string {
	return "transport_maps = inline:{{" + sender + " = smtp:" + x.host + "}}"
}

// A failure is a recipient in a delivery status notification (RFC 3464 section 2.3).
type failure struct{ recipient, status, diagnostic string }

// failures reads the notifications that have arrived.
func (x *exchanger) failures() (all []failure) {
	for _, content := range x.contents() {
		for _, group := range strings.Split(content, "\r\n\r\n") {
			if f, ok := parseFailure(group); ok {
				all = append(all, f)
			}
		}
	}
	return all
}

// parseFailure reads the fields of one recipient; ok is false when group is something else.
func parseFailure(group string) (f failure, ok bool) {
	unfolded := strings.NewReplacer("\r\n ", " ", "\r\n\t", " ").Replace(group)
	for _, line := range strings.Split(unfolded, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.Join(strings.Fields(value), " ")
		switch name {
		case "Final-Recipient":
			f.recipient = strings.TrimPrefix(value, "rfc822; ")
		case "Status":
			f.status = value
		case "Diagnostic-Code":
			f.diagnostic = value
		}
	}
	return f, f.recipient != "" && f.status != ""
}
