package wire

// maxErrorText bounds what errors of this package quote of a peer's or a host MTA's words.
const maxErrorText = 120

// Clean makes a peer's text fit for logs, terminals and replies: printable ASCII, runs of anything else become one '?',
// line breaks become one space, at most n octets. Text that is clean already is returned without a copy.
func Clean(s string, n int) string {
	if n <= 0 {
		return ""
	}
	i := 0
	for i < len(s) && i < n && isPrintable(s[i]) {
		i++
	}
	if i == len(s) || i == n {
		return s[:i]
	}
	b := append(make([]byte, 0, min(len(s), n)), s[:i]...)
	for last := byte(0); i < len(s) && len(b) < n; i++ {
		c := class(s[i])
		if c == 0 {
			b = append(b, s[i])
		} else if c != last {
			b = append(b, c)
		}
		last = c
	}
	return string(b)
}

// class is 0 for what may stay, else the octet that stands for a run of its kind.
func class(c byte) byte {
	switch {
	case isPrintable(c):
		return 0
	case c == '\r' || c == '\n':
		return ' '
	default:
		return '?'
	}
}

func isPrintable(c byte) bool { return c >= ' ' && c <= '~' }
