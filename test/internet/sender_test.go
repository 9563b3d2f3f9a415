package internet_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

const personalSender = "list-bounces+{local}={domain}@lists.example.org"

func TestSenderIsMadeFromTheRecipient(t *testing.T) {
	for name, c := range map[string]struct{ template, to, want string }{
		"both parts":                       {personalSender, "user5@d5.5.example", "list-bounces+user5=d5.5.example@lists.example.org"},
		"a quoted local part":              {"{local}={domain}", `"a@b"@c.example`, `"a@b"=c.example`},
		"a template without them":          {"list@sender.example", "user5@d5.5.example", "list@sender.example"},
		"what it puts in is not looked at": {"{local}", "{domain}@c.example", "{domain}"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, internet.Sender(c.template, c.to))
		})
	}
}

func TestWrongSendersAreSeen(t *testing.T) {
	const one, two = "user0@d0.0.example", "user1@d0.0.example"
	for name, c := range map[string]struct {
		template, from string
		to             []string
		missent        int
	}{
		"the recipient's own":         {personalSender, internet.Sender(personalSender, one), []string{one}, 0},
		"another one's":               {personalSender, internet.Sender(personalSender, two), []string{one}, 1},
		"one for two recipients":      {personalSender, internet.Sender(personalSender, one), []string{one, two}, 1},
		"the template itself":         {personalSender, personalSender, []string{one}, 1},
		"everybody's":                 {"list@sender.example", "list@sender.example", []string{one, two}, 0},
		"not everybody's":             {"list@sender.example", "", []string{one, two}, 1},
		"anybody's, when none is set": {"", "x@sender.example", []string{one, two}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, internet.Config{Domains: 1, Hosts: 1, Sender: c.template})
			m := connect(w, 0)
			m.send(c.from, body, c.to)
			m.quit(t)
			assert.Equal(t, c.missent, w.Report().Missent.Count, "transactions with a wrong sender")
			w.Reset()
			assert.Zero(t, w.Report().Missent.Count, "a reset forgets")
		})
	}
}

func TestOctetsOfOpenSessionsCount(t *testing.T) {
	w := start(t, internet.Config{Domains: 1, Hosts: 1})
	m := connect(w, 0)
	m.send("", body, []string{"user0@d0.0.example"})
	const said = "EHLO test\r\nMAIL FROM:<>\r\nRCPT TO:<user0@d0.0.example>\r\nDATA\r\n" + body + ".\r\n"
	assert.Equal(t, int64(len(said)), w.Report().Read, "what came is counted before the session ends")
	w.Reset()
	m.quit(t)
	assert.Equal(t, int64(len("QUIT\r\n")), w.Report().Read, "and after a reset only what comes later")
}
