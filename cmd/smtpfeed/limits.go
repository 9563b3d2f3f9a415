package main

import (
	"log/slog"
	"syscall"
)

// fileReserve is how many file descriptors are kept for everything that is not an SMTP session: connections of host MTAs, DNS
// sockets, the admin socket and files. Sessions must never take the last one, or no host MTA can be answered.
const fileReserve = 512

// raiseFileLimit raises the soft limit of open files to the hard one, and returns what is in force.
func raiseFileLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1 << 20 // cannot be known: assume that somebody has set it well
	}
	if limit.Cur < limit.Max {
		raised := limit
		raised.Cur = limit.Max
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			limit = raised
		}
	}
	return int(min(limit.Cur, 1<<30))
}

// fitSessions lowers smtp.sessions to what the limit of open files bears.
func fitSessions(c *Config, files int, log *slog.Logger) {
	bears := max(files-fileReserve, files/4, 1)
	if c.SMTP.Sessions <= bears {
		return
	}
	log.Warn("the limit of open files is too small for smtp.sessions; fewer are used", "limit", files, "sessions", bears, "wanted", c.SMTP.Sessions)
	c.SMTP.Sessions = bears
}

// ownFiles is how many file descriptors the program needs beside sessions and connections of host MTAs: DNS sockets, the admin socket
// and who asks it, files, the listeners and what systemd passes.
const ownFiles = 48

// hostConnections is how many connections of host MTAs the limit of open files bears beside so many sessions. There is always one.
func hostConnections(sessions, files int) int { return max(files-sessions-ownFiles, 1) }
