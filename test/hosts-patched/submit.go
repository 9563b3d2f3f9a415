package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// group is how many RCPT are written before their replies are read; sendmail -bs reads from a pipe.
const group = 50

// message is what is submitted, the same in all runs.
const message = "From: list@hosts.test\r\nTo: list:;\r\nSubject: list\r\nDate: Sun, 22 Nov 2026 05:19:14 +0000\r\n" +
	"Message-Id: <1@hosts.test>\r\n\r\nhello\r\n.\r\n"

// submit hands a message over by SMTP and returns all replies, one a line. Refused recipients are no error.
func submit(out io.Writer, in io.Reader, to []string) (string, error) {
	d := dialogue{out: out, in: bufio.NewReader(in)}
	d.replies(1)
	d.say(1, "EHLO client\r\n")
	d.say(1, "MAIL FROM:<list@hosts.test>\r\n")
	for len(to) > 0 {
		n := min(group, len(to))
		var b strings.Builder
		for _, a := range to[:n] {
			fmt.Fprintf(&b, "RCPT TO:<%s>\r\n", a)
		}
		d.say(n, b.String())
		to = to[n:]
	}
	d.say(1, "DATA\r\n")
	if strings.HasPrefix(d.last, "354") {
		d.say(1, message)
	}
	d.say(1, "QUIT\r\n")
	return d.log.String(), d.err
}

// A dialogue is one SMTP session; its first error stays.
type dialogue struct {
	out  io.Writer
	in   *bufio.Reader
	log  strings.Builder
	last string
	err  error
}

// say writes commands and reads the replies to them.
func (d *dialogue) say(replies int, commands string) {
	if d.err != nil {
		return
	}
	if _, d.err = io.WriteString(d.out, commands); d.err == nil {
		d.replies(replies)
	}
}

func (d *dialogue) replies(n int) {
	for n > 0 && d.err == nil {
		d.last, d.err = d.in.ReadString('\n')
		d.log.WriteString(d.last)
		if len(d.last) < 4 || d.last[3] != '-' {
			n--
		}
	}
}
