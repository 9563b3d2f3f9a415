package security

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stage is where in a dialogue a hostile exchanger says what it has to say.
type stage string

const (
	greeting stage = "greeting"
	ehlo     stage = "EHLO"
	mail     stage = "MAIL"
	rcpt     stage = "RCPT"
	data     stage = "DATA"
	final    stage = "."
)

// A slanderer is an exchanger that says one reply of its own, at one stage, and else what it should.
type slanderer struct {
	at       stage
	reply    string // with its line end
	listener net.Listener
	running  sync.WaitGroup
}

// slander starts a slanderer.
func slander(t *testing.T, at stage, reply string) *slanderer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err, "there is a free port")
	s := &slanderer{at: at, reply: reply, listener: l}
	s.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() { s.talk(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.running.Wait()
	})
	return s
}

// talk is one connection.
func (s *slanderer) talk(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for at, ok := greeting, true; ok; {
		if _, err := io.WriteString(c, s.says(at)); err != nil {
			return
		}
		at, ok = next(in, at == data && strings.HasPrefix(s.says(data), "3"))
	}
}

// says is the reply at a stage.
func (s *slanderer) says(at stage) string {
	if at == s.at {
		return s.reply
	}
	return map[stage]string{greeting: "220 x ESMTP\r\n", ehlo: "250-x\r\n250 PIPELINING\r\n", data: "354 go on\r\n"}[at] +
		map[stage]string{mail: "250 2.1.0 ok\r\n", rcpt: "250 2.1.5 ok\r\n", final: "250 2.0.0 ok\r\n", "": "250 2.0.0 ok\r\n"}[at]
}

// next reads a command or, behind an invitation, a content, and returns the stage that answers it.
func next(in *bufio.Reader, content bool) (at stage, ok bool) {
	for {
		line, err := in.ReadString('\n')
		switch {
		case err != nil, strings.HasPrefix(line, "QUIT"):
			return "", false
		case content && line != ".\r\n":
		case content:
			return final, true
		default:
			verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			if known := []stage{ehlo, mail, rcpt, data}; slices.Contains(known, stage(verb)) {
				return stage(verb), true
			}
			return "", true
		}
	}
}

// hostileTexts are what a peer may write for others to read.
func hostileTexts() []string {
	long := strings.Repeat("A", 900)
	texts := []string{
		"\x1b]0;title\x07\x1b[2J\x1b[31mred", "\x9b31mred", "\x1b[6n\x05\x1bc", "a\rb\r\rc", "nul\x00nul", "\xff\xfe\x80", "gr\u00fc\u00dfe", "\u202egnp.exe\u2066",
		"\u2028\u2029\u0085line",
		"tab\ttab\vvt\fff\bbs\x7fdel", `","outcome":"delivered","code":250,"x":"`, `\",\"outcome\":\"delivered`, `"}` + `{"time":"`, "<script>alert(1)</script>",
		"time=2000-01-01T00:00:00Z level=ERROR msg=\"forged\"", `" level=ERROR msg="forged`, "smtpfeed_up 0", "%s%d%n%!v(MISSING)", "${jndi:ldap://x}",
		"{{.}}", "\\u001b[31m", "5.1.1 5.7.1", "4.9.9",
		"5.99999999999.1", "-1.-1.-1", "", " ", "   leading and trailing   ", long, long + "\x1b" + long,
	}
	return append(texts, strings.Repeat("B", 64<<10), strings.Repeat("\x1b", 64<<10))
}

// slanders are replies with a hostile text in each form in which it can stand.
func slanders() (all []string) {
	for _, text := range hostileTexts() {
		for _, code := range []string{"250", "450", "550", "421", "999"} {
			all = append(all, code+" "+text+"\r\n")
		}
		all = append(all, "550-"+text+"\r\n550 "+text+"\r\n", "550 5.1.1 "+text+"\n", text+"\r\n", "550\x00"+text+"\r\n")
	}
	many := strings.Repeat("550-a line\r\n", 5000)
	return append(all, many+"550 end\r\n", strings.Repeat("450-\x1b\r\n", 200)+"450 end\r\n")
}

// shortTimeouts are for replies that never end.
const shortTimeouts = `timeouts = { greeting = "5s", hello = "5s", mail = "5s", rcpt = "5s", data = "5s", final = "5s" }` + "\n"

func TestNoReplyBecomesAnythingElse(t *testing.T) {
	for _, at := range []stage{greeting, ehlo, mail, rcpt, data, final} {
		t.Run(string(at), func(t *testing.T) {
			var routes, to []string
			for i, reply := range slanders() {
				a := slander(t, at, reply).listener.Addr().(*net.TCPAddr)
				routes = append(routes, fmt.Sprintf("d%d.test [%s]:%d", i, a.IP, a.Port))
				to = append(to, fmt.Sprintf("a@d%d.test", i))
			}
			d := start(t, setting{routes: routes, smtp: "prohibited = []\ngather_time = \"0s\"\n" + shortTimeouts})
			h := lhlo(t, d)
			for _, line := range h.transaction(sender, to, wire("Subject: x\r\n\r\nx\r\n")) {
				assert.Regexp(t, `^(?:250 2|45[012] 4|55[04] 5)\.[0-9]{1,3}\.[0-9]{1,3} [ -~]{1,485}$`, line, "the host MTA can understand the reply")
			}
			h.quit()
			outcomes(t, d, len(to))
			clean(t, d)
			ascii(t, d)
		})
	}
}

// outcomes asserts that each recipient has one record whose outcome its code explains: a text decides nothing.
func outcomes(t *testing.T, d *daemon, n int) {
	t.Helper()
	seen := 0
	for line := range strings.Lines(d.records(t)) {
		f := record(t, line)
		seen++
		code := int(f["code"].(float64))
		if f["outcome"] == "delivered" {
			assert.Equal(t, 2, code/100, "delivered is what was answered so: %s", line)
		}
		if f["outcome"] == "failed" {
			assert.Equal(t, 5, code/100, "and failed too: %s", line)
		}
	}
	assert.Equal(t, n, seen, "one record a recipient")
}

// ascii asserts that nothing of a peer's is shown to anybody but in printable ASCII.
func ascii(t *testing.T, d *daemon) {
	t.Helper()
	for where, text := range map[string]string{
		"the log": d.log(t), "the delivery records": d.records(t), "/status": d.ask(t, "/status"),
		"/status.json": d.ask(t, "/status.json"), "/metrics": d.ask(t, "/metrics"),
	} {
		i := strings.IndexFunc(text, func(c rune) bool { return c != '\n' && (c < ' ' || c > '~') })
		if i >= 0 {
			assert.Fail(t, "not printable ASCII", "%s: ...%q", where, text[max(0, i-200):min(len(text), i+50)])
		}
		assert.NotContains(t, text, "\n550", "nor in lines of its own, in %s", where)
		assert.NotContains(t, text, "\nsmtpfeed_up 0\n", "nor as a metric, in %s", where)
	}
}
