package feed

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// refuser begins a server at addr that offers keywords, and answers commands for which refuse has a reply with that.
func (w *world) refuser(addr string, keywords []string, refuse func(line string) string) {
	l := w.listen(addr)
	w.closers = append(w.closers, func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go refuserServe(c, keywords, refuse)
		}
	}()
}

func refuserServe(c net.Conn, keywords []string, refuse func(line string) string) {
	defer c.Close()
	say := func(reply string) { io.WriteString(c, reply+"\r\n") }
	say("220 mx1.test")
	in := bufio.NewScanner(c)
	for body, rcpts, mail := false, 0, false; in.Scan(); {
		line := in.Text()
		switch no := refuse(line); {
		case body && line != ".":
		case body:
			body = false
			say("250 2.0.0 ok")
		case strings.HasPrefix(line, "EHLO"):
			say("250-mx1.test\r\n250-" + strings.Join(keywords, "\r\n250-") + "\r\n250 HELP")
		case no != "":
			say(no)
		case strings.HasPrefix(line, "RCPT") && !mail, line == "DATA" && rcpts == 0:
			say("503 5.5.1 not now")
		case line == "DATA":
			body, mail, rcpts = true, false, 0
			say("354 go")
		default:
			mail, rcpts = line != "RSET", rcpts+strings.Count(line, "RCPT")
			say("250 ok")
		}
	}
}

// RFC 5321 section 4.1.1.11: a host that offers DSN and does not take its parameters gets the mail without them. Who wanted to hear of a
// delivery is then told by us.
func TestHostThatRefusesDSNIsAskedForNone(t *testing.T) {
	mail, rcpt := wire.MailDSN{Ret: "HDRS", EnvID: "q1"}, []wire.RcptParams{{ORCPT: "rfc822;b@one.test", Notify: wire.NotifySuccess}}
	at := func(verb, what, reply string) func(string) string {
		return func(line string) string {
			if strings.HasPrefix(line, verb) && strings.Contains(line, what) {
				return reply
			}
			return ""
		}
	}
	for name, c := range map[string]struct {
		keywords []string
		refuse   func(string) string
		want     string
		learned  string
	}{
		"RET, and nothing else is offered":  {[]string{"DSN"}, at("MAIL", "RET=", "555 5.5.4 no"), "delivered", "no DSN"},
		"RET, beside others":                {[]string{"DSN", "SIZE 0"}, at("MAIL", "RET=", "501 syntax"), "delivered", "no DSN"},
		"RET, by name":                      {[]string{"DSN", "SIZE 0"}, at("MAIL", "RET=", "555 5.5.4 Unsupported option: RET=HDRS"), "delivered", "no DSN"},
		"ENVID, pipelined":                  {[]string{"DSN", "PIPELINING"}, at("MAIL", "ENVID=", "555 5.5.4 no"), "delivered", "no DSN"},
		"ORCPT by 555":                      {[]string{"DSN"}, at("RCPT", "ORCPT=", "555 5.5.4 no"), "delivered", "no DSN"},
		"ORCPT by 501 and name, pipelined":  {[]string{"DSN", "PIPELINING"}, at("RCPT", "ORCPT=", "501 5.5.4 ORCPT?"), "delivered", "no DSN"},
		"the address, by 501":               {[]string{"DSN"}, at("RCPT", "", "501 5.1.3 bad address"), "failed 5.1.3", ""},
		"the address, by 555 whatever else": {[]string{"DSN"}, at("RCPT", "", "555 5.5.4 no"), "failed 5.5.4", "no DSN"},
		"MAIL whatever it has":              {[]string{"DSN", "SIZE 0"}, at("MAIL", "", "555 5.5.4 no"), "failed 5.5.4", "MAIL without SIZE and BODY, no DSN"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.twoDomains(false)
				w.refuser(best, c.keywords, c.refuse)
				d := w.prepare(budget, shortContent, "a@one.test")
				d.envelope.Params.DSN, d.envelope.Notify = mail, rcpt
				w.feeder.Send(d.envelope)
				got := d.wait()
				require.Equal(t, []string{c.want}, got, "what becomes of it")
				if c.want == "delivered" {
					assert.False(t, d.firstVia().DSN, "the host does not see to notifications")
				}
				assert.Equal(t, c.learned, learnedOf(w, "mx1.test"), "that is remembered")
			})
		})
	}
}

// RFC 3461 section 4.1: who says nothing is told of failures. An address that stands twice gets one mail, and everybody hears what he
// asked for.
func TestNotificationsOfAnAddressThatStandsTwice(t *testing.T) {
	failures := wire.NotifyFailure | wire.NotifyDelay
	for name, c := range map[string]struct{ a, b, want wire.RcptParams }{
		"SUCCESS and nothing":      {wire.RcptParams{Notify: wire.NotifySuccess}, wire.RcptParams{}, wire.RcptParams{Notify: wire.NotifySuccess | failures}},
		"NEVER and nothing":        {wire.RcptParams{Notify: wire.NotifyNever}, wire.RcptParams{}, wire.RcptParams{Notify: failures}},
		"NEVER and NEVER":          {wire.RcptParams{Notify: wire.NotifyNever}, wire.RcptParams{Notify: wire.NotifyNever}, wire.RcptParams{Notify: wire.NotifyNever}},
		"NEVER and SUCCESS":        {wire.RcptParams{Notify: wire.NotifyNever}, wire.RcptParams{Notify: wire.NotifySuccess}, wire.RcptParams{Notify: wire.NotifySuccess}},
		"nothing and nothing":      {wire.RcptParams{}, wire.RcptParams{}, wire.RcptParams{}},
		"ORCPT is of who hears it": {wire.RcptParams{Notify: wire.NotifyNever, ORCPT: "rfc822;x"}, wire.RcptParams{ORCPT: "rfc822;y"}, wire.RcptParams{Notify: failures, ORCPT: "rfc822;y"}},
	} {
		for order, both := range map[string][]wire.RcptParams{"": {c.a, c.b}, ", the other way round": {c.b, c.a}} {
			t.Run(name+order, func(t *testing.T) {
				second := &recipient{envelope: &envelope{Envelope: &Envelope{Notify: both}}, index: 1}
				first := &recipient{envelope: second.envelope, twin: second}
				assert.Equal(t, c.want, first.notify(), "one RCPT asks for both")
			})
		}
	}
}
