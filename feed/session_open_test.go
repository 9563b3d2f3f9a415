package feed

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// What an exchanger may do before MAIL is about the host, never about the mail: everybody goes to the next exchanger, or is
// deferred, and the host is left alone for a while.
func TestGreetingFaults(t *testing.T) {
	playRows(t, []row{
		{name: "GRT-01 421 and FIN: skip the host", then: isDown, want: []string{"deferred 4.3.2"},
			scripts: script(fault, mxsim.Reply("421 4.3.2 too many connections"), mxsim.Drop())},
		{name: "GRT-03 554: a host that takes no mail bounces none", then: isDown, want: []string{"deferred 4.3.2"},
			scripts: script(fault, mxsim.Reply("554 no SMTP service here"), mxsim.Bye())},
		{name: "GRT-05 SSH", then: isDown, want: []string{"deferred 4.5.0"}, within: time.Second,
			scripts: script(fault, mxsim.Reply("SSH-2.0-OpenSSH_9.2"), gone())},
		{name: "GRT-05 HTTP", then: isDown, want: []string{"deferred 4.5.0"}, within: time.Second,
			scripts: script(fault, mxsim.Reply("HTTP/1.1 400 Bad Request", "", "no"), gone())},
		{name: "GRT-05 binary", then: isDown, want: []string{"deferred 4.5.0"}, within: time.Second,
			scripts: script(fault, mxsim.Send("\x16\x03\x01\x00\xff\n"), gone())},
		{name: "GRT-05 a code of four digits", then: isDown, want: []string{"deferred 4.5.0"}, within: time.Second,
			scripts: script(fault, mxsim.Reply("2200 x"), gone())},
		{name: "GRT-07 two million lines", then: isDown, want: []string{"deferred 4.5.0"}, scripts: script(fault, flood("220-x\r\n", 2_000_000))},
		{name: "GRT-07 one line of ten million octets", then: isDown, want: []string{"deferred 4.5.0"},
			scripts: script(fault, mxsim.Send("220 "), flood(strings.Repeat("x", 1000), 10_000))},
		{name: "GRT-08 silence for 4m59s is waited for", then: onSame, want: []string{"delivered"},
			scripts: script(mxsim.Stall(299*time.Second), hello(), mxsim.Deliver(3), mxsim.Deliver(1), mxsim.Bye())},
		{name: "GRT-09 one octet a minute: the deadline is the whole reply's", then: isDown, want: []string{"deferred 4.4.2"}, within: 302 * time.Second,
			scripts: script(fault, dripping(time.Minute, "220 mx1.test ESMTP\r\n"))},
		{name: "GRT-09 silence", then: isDown, want: []string{"deferred 4.4.2"}, within: 302 * time.Second, scripts: script(fault, gone())},
		{name: "GRT-10 our own name in the banner is no loop", then: onSame, want: []string{"delivered"},
			scripts: script(mxsim.Hello("localhost", "PIPELINING"), mxsim.Deliver(3), mxsim.Deliver(1), mxsim.Bye())},
		{name: "GRT-11 PIX fixup: HELO", want: []string{"delivered"},
			scripts: script(mxsim.Reply("220 ******2******0*"), mxsim.Expect("EHLO"), mxsim.Reply("500 what"), mxsim.Expect("HELO localhost"),
				mxsim.Reply("250 mx1.test"), oneByOne(3), mxsim.Bye())},
		{name: "GRT-12 two greetings in one segment", then: isDown, want: []string{"deferred 4.5.0"},
			scripts: script(fault, mxsim.Reply("220 a", "220 b"), gone())},
		{name: "GRT-12 two greetings, the second one instead of the reply to EHLO", then: isDown, want: []string{"deferred 4.5.0"},
			scripts: script(mxsim.Reply("220 a"), mxsim.Expect("EHLO"), fault, mxsim.Reply("220 b"), mxsim.Stall(time.Second),
				mxsim.Reply("250 mx1.test"), gone())},
		{name: "GRT-13 not an octet before the banner", then: onSame, want: []string{"delivered"},
			scripts: script(mxsim.ExpectSilence(20*time.Second), hello(), mxsim.Deliver(3), mxsim.Deliver(1), mxsim.Bye())},
		{name: "GRT-14 220 without text", want: []string{"delivered"}, then: onSame, scripts: bareGreeting("220\r\n")},
		{name: "GRT-14 220 and a blank", want: []string{"delivered"}, then: onSame, scripts: bareGreeting("220 \r\n")},
		{name: "REP-03 different codes in one greeting", then: isDown, want: []string{"deferred 4.5.0"},
			scripts: script(fault, mxsim.Reply("220-a", "554 b"), gone())},
		{name: "REP-04 a greeting that never ends", then: isDown, want: []string{"deferred 4.4.2"},
			scripts: script(fault, mxsim.Reply("220-a"), gone())},
	})
}

// flood writes the same text n times, as far as the client lets it.
func flood(text string, n int) mxsim.Step {
	return mxsim.Do("flood", func(c net.Conn) error {
		for range n {
			if _, err := io.WriteString(c, text); err != nil {
				break
			}
		}
		return nil
	})
}

func bareGreeting(greeting string) []mxsim.Script {
	return script(mxsim.Send(greeting), mxsim.Expect("EHLO"), mxsim.Reply("250-mx1.test", "250 PIPELINING"),
		mxsim.Deliver(3), mxsim.Deliver(1), mxsim.Bye())
}

func TestHelloFaults(t *testing.T) {
	greeted := mxsim.Seq(mxsim.Reply("220 mx1.test ESMTP"), mxsim.Expect("EHLO localhost"))
	rows := []row{
		{name: "EHL-02 421: no HELO", then: isDown, want: []string{"deferred 4.3.2"},
			scripts: script(greeted, fault, mxsim.Reply("421 4.3.2 going down"), mxsim.Drop())},
		{name: "EHL-02 450 is no reason for HELO either", then: isDown, want: []string{"deferred 4.7.1"},
			scripts: script(greeted, fault, mxsim.Reply("450 4.7.1 come back later"), mxsim.Bye())},
		{name: "EHL-03 550 and FIN before HELO", then: isDown, want: []string{"deferred 4.4.2"},
			scripts: script(greeted, mxsim.Reply("550 go away"), mxsim.Drop())},
		{name: "EHL-03 550 to HELO too", then: isDown, want: []string{"deferred 4.3.2"},
			scripts: script(greeted, mxsim.Reply("550 go away"), mxsim.Expect("HELO"), fault, mxsim.Reply("550 5.7.1 away"), mxsim.Bye())},
		{name: "EHL-05 lower case, tabs, AUTH=, duplicates, trailing blanks", then: onSame, want: []string{"delivered"},
			scripts: script(greeted, mxsim.Reply("250-mx1.test", "250-pipelining", "250-AUTH=LOGIN", "250-Size\t1000000 ", "250-PIPELINING ",
				"250-X-UNHEARD of", "250 8bitmime  "), mxsim.Deliver(3), mxsim.Deliver(1), mxsim.Bye())},
		{name: "EHL-07 a single line is a domain, not a keyword", want: []string{"delivered"},
			scripts: script(greeted, mxsim.Reply("250 PIPELINING"), oneByOne(3), mxsim.Bye())},
		{name: "EHL a reply in two parts of which one comes late", then: isDown, want: []string{"deferred 4.4.2"},
			scripts: script(greeted, fault, mxsim.Reply("250-mx1.test"), gone())},
		{name: "REP-06 EHLO gets 850", then: isDown, want: []string{"deferred 4.5.0"}, scripts: script(greeted, fault, mxsim.Reply("850 mx1.test"), gone())},
	}
	for _, code := range []int{500, 502, 504, 550} {
		rows = append(rows, row{name: fmt.Sprintf("EHL-01 %d: HELO on the same connection", code), want: []string{"delivered"}, then: onSame,
			scripts: script(greeted, mxsim.Reply(fmt.Sprint(code, " what")), mxsim.Expect("HELO localhost"), mxsim.Reply("250 mx1.test"),
				oneByOne(3), oneByOne(1), mxsim.Bye())})
	}
	for _, size := range []string{"SIZE", "SIZE 0", "SIZE abc", "SIZE 99999999999999999999"} {
		rows = append(rows, row{name: "EHL-06 " + size + ": no limit is known", want: []string{"delivered"}, then: onSame,
			scripts: script(mxsim.Hello("mx1.test", "PIPELINING", size), mxsim.Deliver(3), mxsim.Deliver(1), mxsim.Bye())})
	}
	playRows(t, rows)
}
