package crash

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// A hostSession is one LMTP connection of the host MTA, and the process that has it: one transaction, as Postfix's lmtp(8) does
// it.
type hostSession struct {
	host         *hostMTA
	conn         *netsim.Conn
	acquaintance *acquaintance
	queued       *queued
	to           []*rcpt
	dies         int // behind so many final replies; -1 is not at all
	life         int // of the host
	noted        int // final replies
	closing      sync.Once
}

// replyTimeout is how long a reply may take (lmtp_data_done_timeout).
const replyTimeout = 600 * time.Second

// doom decides when the process that has the connection dies: behind some of the replies, or at some time.
func (s *hostSession) doom() {
	luck := s.queued.luck
	switch luck.IntN(3) {
	case 0:
		time.AfterFunc(jitter(luck, 200*time.Millisecond), s.close)
	case 1:
		time.AfterFunc(jitter(luck, 20*time.Second), s.close)
	default:
		s.dies = luck.IntN(len(s.to) + 1)
	}
}

// talk is the whole dialogue. It ends early when anything is not as it should be.
func (s *hostSession) talk() {
	if s.reply() != 220 || s.say("LHLO host.test\r\n") != nil || s.reply() != 250 {
		return
	}
	accepted, ok := s.envelope()
	if !ok {
		return
	}
	s.host.w.handed(accepted)
	defer s.leave(accepted)
	content := append(stuffed(s.queued.plan.body), ".\r\n"...)
	if s.host.plan.quits {
		content = append(content, "QUIT\r\n"...)
	}
	if s.say(string(content)) != nil || !s.finals(accepted) {
		return
	}
	if !s.host.plan.quits && s.say("QUIT\r\n") != nil {
		return
	}
	s.reply()
}

// leave notes who got no reply.
func (s *hostSession) leave(accepted []*rcpt) {
	for _, r := range accepted[s.noted:] {
		s.host.w.leftWithout(r.person)
	}
}

// envelope is everything up to 354: the recipients that were accepted. ok is false when there is nothing to send.
func (s *hostSession) envelope() (accepted []*rcpt, ok bool) {
	commands := []string{"MAIL FROM:<" + s.queued.plan.from + ">\r\n"}
	for _, r := range s.to {
		commands = append(commands, "RCPT TO:<"+r.person.to+">\r\n")
	}
	commands = append(commands, "DATA\r\n")
	codes := make([]int, 0, len(commands))
	if s.host.plan.group {
		if s.say(string(bytes.Join(octets(commands), nil))) != nil {
			return nil, false
		}
		for range commands {
			codes = append(codes, s.reply())
		}
	} else {
		for _, c := range commands {
			if s.say(c) != nil {
				return nil, false
			}
			codes = append(codes, s.reply())
		}
	}
	for i, r := range s.to {
		switch code := codes[1+i]; {
		case code/100 == 2:
			accepted = append(accepted, r)
		case code >= 400 && s.host.lives(s.life):
			s.host.mark(r, code)
		}
	}
	return accepted, codes[0] == 250 && codes[len(codes)-1] == 354
}

// finals reads the final replies and notes them one by one.
func (s *hostSession) finals(accepted []*rcpt) bool {
	if s.dies >= 0 && s.host.plan.hasty {
		return s.hastily(accepted)
	}
	for i, r := range accepted {
		if i == s.dies {
			return false
		}
		code := s.reply()
		if code == 0 {
			return false
		}
		if !s.host.lives(s.life) {
			s.host.w.unmarked(r.person)
			return false
		}
		s.host.mark(r, code)
		s.noted++
	}
	return s.dies < 0
}

// hastily reads all replies before it notes any, and dies in between: what had been read was taken, for all that anybody can
// know.
func (s *hostSession) hastily(accepted []*rcpt) bool {
	var codes []int
	for range accepted {
		code := s.reply()
		if code == 0 {
			break
		}
		codes = append(codes, code)
	}
	for i, code := range codes {
		if i < s.dies {
			s.host.mark(accepted[i], code)
			s.noted++
		} else {
			s.host.w.unmarked(accepted[i].person)
		}
	}
	return false
}

func (s *hostSession) say(text string) error {
	_, err := io.WriteString(s.conn, text)
	return err
}

// reply reads a reply and not an octet more: what is left unread when the host dies, smtpfeed sees. It is 0 when the connection
// ended.
func (s *hostSession) reply() int {
	s.conn.SetReadDeadline(time.Now().Add(replyTimeout))
	var line []byte
	for {
		var b [1]byte
		if _, err := s.conn.Read(b[:]); err != nil {
			return 0
		}
		line = append(line, b[0])
		if b[0] != '\n' {
			continue
		}
		code := 0
		if n, _ := fmt.Sscanf(string(line), "%3d", &code); n != 1 || len(line) < 6 {
			s.host.w.violated("the host MTA is told %q", line)
			return 0
		}
		if line[3] != '-' {
			return code
		}
		line = line[:0]
	}
}

// close ends the connection. Replies that were not read make it a reset.
func (s *hostSession) close() {
	s.closing.Do(func() {
		s.acquaintance.hostClosed.Store(true)
		s.conn.Close()
	})
}

// stuffed is the body with RFC 5321 section 4.5.2's dots.
func stuffed(body []byte) []byte {
	b := bytes.ReplaceAll(append([]byte("\r\n"), body...), []byte("\r\n."), []byte("\r\n.."))
	return b[2:]
}

func octets(words []string) (list [][]byte) {
	for _, w := range words {
		list = append(list, []byte(w))
	}
	return list
}
