package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
)

// A sink takes all mail over LMTP (RFC 2033) and keeps who was in which transaction, in their order.
type sink struct {
	l net.Listener

	mu           sync.Mutex
	transactions [][]string
}

// listen starts a sink on a socket. Its goroutines end with close or with their connections.
func listen(socket string) (*sink, error) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	s := &sink{l: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return s, os.Chmod(socket, 0o666)
}

func (s *sink) close() { s.l.Close() }

// seen are the transactions so far.
func (s *sink) seen() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([][]string(nil), s.transactions...)
}

// recipients is how many arrived so far.
func (s *sink) recipients() int {
	n := 0
	for _, t := range s.seen() {
		n += len(t)
	}
	return n
}

// talk is one connection. What cannot be written is the client's loss: it will be missed in the counts.
func (s *sink) talk(c net.Conn) {
	defer c.Close()
	in, out := bufio.NewReaderSize(c, 1<<16), bufio.NewWriterSize(c, 1<<16)
	fmt.Fprint(out, "220 sink LMTP\r\n")
	var to []string
	for {
		if in.Buffered() == 0 {
			out.Flush()
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		word, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		switch strings.ToUpper(word) {
		case "RCPT TO":
			to = append(to, rest)
			fmt.Fprint(out, "250 2.1.5 ok\r\n")
		case "DATA":
			fmt.Fprint(out, "354 go on\r\n")
			out.Flush()
			if !content(in) {
				return
			}
			fmt.Fprint(out, strings.Repeat("250 2.0.0 taken\r\n", len(to)))
			s.mu.Lock()
			s.transactions, to = append(s.transactions, to), nil
			s.mu.Unlock()
		case "QUIT":
			fmt.Fprint(out, "221 2.0.0 bye\r\n")
			out.Flush()
			return
		default: // LHLO, MAIL FROM, RSET
			if strings.HasPrefix(strings.ToUpper(word), "LHLO") {
				fmt.Fprint(out, "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n")
				continue
			}
			to = nil
			fmt.Fprint(out, "250 2.0.0 ok\r\n")
		}
	}
}

// content reads up to the final dot.
func content(in *bufio.Reader) bool {
	for {
		line, err := in.ReadString('\n')
		if err != nil || line == ".\r\n" {
			return err == nil
		}
	}
}

// once says what is wrong when not every address arrived exactly once. Order and case do not matter.
func once(transactions [][]string, want []string) error {
	count := make(map[string]int, len(want))
	for _, t := range transactions {
		for _, a := range t {
			count[strings.ToLower(strings.Trim(a, "<>"))]++
		}
	}
	for _, a := range want {
		if n := count[strings.ToLower(a)]; n != 1 {
			return fmt.Errorf("%s arrived %d times", a, n)
		}
		delete(count, strings.ToLower(a))
	}
	for a := range count {
		return fmt.Errorf("%s arrived, and was not sent", a)
	}
	return nil
}
