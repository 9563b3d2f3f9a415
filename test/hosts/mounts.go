package hosts

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A bind puts a file or directory of an instance in the place of one of the machine's, for its processes alone. Hosts have paths
// and users compiled into them, and the machine must not get either.
type bind struct{ ours, place string }

// within is the command line of a program that sees these binds, and is not forked on the way to it: its number is its starter's.
func within(binds []bind, argv ...string) []string {
	const script = `while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; shift; exec "$@"`
	all := []string{"unshare", "--mount", "sh", "-c", script, "sh"}
	for _, b := range binds {
		all = append(all, b.ours, b.place)
	}
	return slices.Concat(all, []string{"--"}, argv)
}

// An account is a user that a host has compiled in, and its group of the same name.
type account struct {
	name string
	id   int
}

// accounts makes the machine's users and groups, and these, visible.
func (s *Setup) accounts(more ...account) ([]bind, error) {
	users, groups := "", ""
	for _, a := range more {
		users += fmt.Sprintf("%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n", a.name, a.id, a.id)
		groups += fmt.Sprintf("%s:x:%d:\n", a.name, a.id)
	}
	var binds []bind
	for place, lines := range map[string]string{"/etc/passwd": users, "/etc/group": groups} {
		machine, err := os.ReadFile(place)
		if err != nil {
			return nil, err
		}
		f := file{filepath.Base(place), lines + string(machine)} // the first of a name counts
		if err := s.write(f); err != nil {
			return nil, err
		}
		binds = append(binds, bind{s.path(f.name), place})
	}
	return binds, nil
}

// tcp is the address of a Feed that listens on TCP.
func tcp(feed string) (ip, port string, err error) {
	rest, ok := strings.CutPrefix(feed, "tcp:")
	colon := strings.LastIndexByte(rest, ':')
	if !ok || colon < 0 {
		return "", "", fmt.Errorf("%q is not \"tcp:IP:PORT\", which is all that this host can connect to", feed)
	}
	return rest[:colon], rest[colon+1:], nil
}
