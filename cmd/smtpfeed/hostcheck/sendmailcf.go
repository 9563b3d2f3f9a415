package hostcheck

import (
	"path"
	"strconv"
	"strings"
	"time"
)

// A Sendmail is what a sendmail.cf says, as far as it concerns us.
type Sendmail struct {
	File string // its path, for advice

	options map[string]string // by name in lower case
	mailers []equates
	queues  map[string]equates // queue groups by name
}

// equates are the "X=value" of a mailer (M) or queue group (Q) line.
type equates struct {
	name  string
	field map[byte]string
}

// ReadSendmail reads a sendmail.cf as sendmail's readcf.c does: the first letter of a line says what it is, and a line that
// begins with white space goes on with the one before.
func ReadSendmail(text string) Sendmail {
	s := Sendmail{options: map[string]string{}, queues: map[string]equates{}}
	for _, line := range folded(text) {
		switch line[0] {
		case 'O':
			s.option(line[1:])
		case 'M':
			if m := parseEquates(line[1:]); m.name != "" {
				s.mailers = append(s.mailers, m)
			}
		case 'Q':
			if q := parseEquates(line[1:]); q.name != "" {
				s.queues[q.name] = q
			}
		}
	}
	return s
}

// folded joins continued lines and leaves out comments and empty ones.
func folded(text string) []string {
	var lines []string
	var line strings.Builder
	flush := func() {
		if line.Len() > 0 {
			lines = append(lines, line.String())
			line.Reset()
		}
	}
	for part := range strings.Lines(text) {
		part = strings.TrimRight(part, "\r\n")
		switch {
		case part == "" || part[0] == '#': // what is indented below belongs to nothing
			flush()
		case part[0] != ' ' && part[0] != '\t':
			flush()
			line.WriteString(uncommented(part))
		case line.Len() > 0:
			line.WriteString("\n" + uncommented(part))
		}
	}
	flush()
	return lines
}

// uncommented cuts off a comment behind something: a "#" that is neither escaped nor part of "$#" (readcf.c, translate_dollars).
func uncommented(line string) string {
	for i := 1; i < len(line); i++ {
		if line[i] == '#' && line[i-1] != '\\' && line[i-1] != '$' {
			return strings.TrimRight(line[:i], " \t")
		}
	}
	return line
}

// option takes "O Name=value", or the one-letter form "OC10" of old files. The last one counts.
func (s *Sendmail) option(rest string) {
	if strings.HasPrefix(rest, " ") {
		if name, value, ok := assignment(rest); ok {
			s.options[strings.ToLower(name)] = value
		}
		return
	}
	old := map[byte]string{'C': "checkpointinterval", '7': "sevenbitinput", 'd': "deliverymode"}
	if rest != "" && old[rest[0]] != "" {
		s.options[old[rest[0]]] = strings.TrimSpace(rest[1:])
	}
}

// parseEquates reads "name, X=value, Y=value". The letter before "=" counts, and commas in quotes or behind a backslash do not.
func parseEquates(line string) equates {
	end := strings.IndexAny(line, ", \t\n")
	if end < 0 {
		return equates{}
	}
	e := equates{line[:end], map[byte]string{}}
	for rest := line[end:]; ; {
		rest = strings.TrimLeft(rest, ", \t\n")
		name, after, ok := strings.Cut(rest, "=")
		if !ok || name == "" || strings.Contains(name, ",") {
			return e
		}
		var value string
		value, rest = munch(strings.TrimLeft(after, " \t\n"))
		e.field[name[0]] = value
	}
}

// munch takes a value up to the next comma and works out quotes and escapes.
func munch(s string) (value, rest string) {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			if escape := strings.IndexByte("rnfb", s[i]); escape >= 0 {
				b.WriteByte("\r\n\f\b"[escape])
			} else {
				b.WriteByte(s[i])
			}
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return b.String(), s[i:]
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

// number is a numeric option; ok is false when the file does not set it.
func (s Sendmail) number(option string) (n int64, ok bool) {
	n, err := strconv.ParseInt(s.options[strings.ToLower(option)], 10, 64)
	return n, err == nil
}

// yes says that a boolean option is set.
func (s Sendmail) yes(option string) bool {
	v := s.options[strings.ToLower(option)]
	return v != "" && strings.ContainsAny(v[:1], "tTyY1")
}

// timeout is a Timeout option; ok is false when the file does not set it. Without a unit it is in minutes (readcf.c, settimeout).
func (s Sendmail) timeout(name string) (time.Duration, bool) {
	text := s.options["timeout."+name]
	if text != "" && strings.Trim(text, "0123456789") == "" {
		text += "m"
	}
	return parseLength(text)
}

// A sendmailWay is a mailer that leads to us.
type sendmailWay struct {
	equates
	place   string // "unix:PATH" or "tcp:HOST:PORT"; "" in program mode
	program bool
}

// ways lists the mailers that lead to us.
func (s Sendmail) ways(f Feed) []sendmailWay {
	var list []sendmailWay
	for _, m := range s.mailers {
		w := sendmailWay{equates: m}
		arguments := strings.Fields(m.field['A'])
		switch program := m.field['P']; {
		case path.Base(program) == "smtpfeed":
			w.program = true
		case program != "[IPC]":
			continue
		case len(arguments) >= 2 && arguments[0] == "FILE":
			w.place = "unix:" + arguments[1]
		case len(arguments) >= 3:
			host := arguments[1]
			if host == "$h" { // the host that the rules give, which for us is this machine
				host = "localhost"
			}
			w.place = "tcp:" + host + ":" + arguments[2]
		}
		if w.program || f.ours(m.name, w.place) {
			list = append(list, w)
		}
	}
	return list
}

// has says that the mailer has a flag in F=.
func (e equates) has(flag byte) bool { return strings.IndexByte(e.field['F'], flag) >= 0 }
