package conformance

import (
	"fmt"
	"net/netip"
	"strings"
)

// names makes a row's names and addresses its own. The zero value leaves them as they are.
type names struct {
	label string // "s17": one.test is one.s17.test
	block string // "127.60.17.": 192.0.2.1 is 127.60.17.1
}

// namesOf are those of the nth row over sockets. Where Postfix may send a row's domains together the label begins with s, else
// with d.
func namesOf(n int, apart bool) names {
	letter := "s"
	if apart {
		letter = "d"
	}
	return names{label: fmt.Sprint(letter, n), block: fmt.Sprintf("127.%d.%d.", 60+n/250, n%250+1)}
}

// text gives everything in a text its own name.
func (n names) text(s string) string {
	if n.label == "" {
		return s
	}
	s = strings.ReplaceAll(s, ".test", "."+n.label+".test")
	if strings.HasPrefix(s, "test. SOA") || strings.Contains(s, "\ntest. SOA") {
		s = strings.ReplaceAll(s, "test. SOA", n.label+".test. SOA")
	}
	return strings.ReplaceAll(s, "192.0.2.", n.block)
}

// all is text of each.
func (n names) all(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = n.text(s)
	}
	return out
}

// addr is an address of a row's.
func (n names) addr(s string) netip.Addr { return netip.MustParseAddr(n.text(s)) }

// labelOf is the label in a name that text made, "" when there is none.
func labelOf(name string) string {
	labels := strings.Split(strings.TrimSuffix(strings.ToLower(name), "."), ".")
	if len(labels) < 2 || labels[len(labels)-1] != "test" {
		return ""
	}
	return labels[len(labels)-2]
}
