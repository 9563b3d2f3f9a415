package main

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"

	"github.com/smtpfeed/smtpfeed/cmd/smtpfeed/hostcheck"
)

// daemonUser is whom the systemd unit runs smtpfeed as.
const daemonUser = "smtpfeed"

// examineAuth tells root, who may read everything, of password files that the daemon's user may not: it would not start.
func examineAuth(c Config, who *user.User) []hostcheck.Finding {
	if who == nil {
		return nil
	}
	groups, err := who.GroupIds()
	if err != nil {
		return nil
	}
	var found []hostcheck.Finding
	for _, r := range c.Routes {
		info, err := os.Stat(r.Auth)
		if r.Auth == "" || err != nil {
			continue // others tell of that
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			continue
		}
		owns, shares := strconv.Itoa(int(st.Uid)) == who.Uid, slices.Contains(groups, strconv.Itoa(int(st.Gid)))
		if mode := info.Mode().Perm(); !(owns && mode&0o400 != 0 || !owns && shares && mode&0o040 != 0) {
			found = append(found, hostcheck.Finding{Severity: hostcheck.Unsafe, Where: "route " + r.Domain, Mend: "chown " + who.Username + " " + r.Auth,
				Text: fmt.Sprintf("auth: %s cannot be read by the user %s: run as that user, smtpfeed does not start", r.Auth, who.Username)})
		}
	}
	return found
}

// daemonAccount is the daemon's user, if there is one and we are root; else nil.
func daemonAccount() *user.User {
	if os.Geteuid() != 0 {
		return nil
	}
	who, err := user.Lookup(daemonUser)
	if err != nil {
		return nil
	}
	return who
}
