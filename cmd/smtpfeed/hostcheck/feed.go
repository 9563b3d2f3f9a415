package hostcheck

import (
	"io/fs"
	"net"
	"path"
	"slices"
	"strings"
	"time"
)

// What a host MTA should bear, and what the advice is where it does not.
const (
	manyRecipients   = 100_000 // of one message
	adviceRecipients = 200_000
	wantChunk        = 1000 // recipients in one LMTP transaction
	adviceChunk      = 2000
	wantParallel     = 50 // transactions at once: manyRecipients in chunks of adviceChunk
	adviceParallel   = 200
)

// margin is what a host MTA must wait beyond the budget: replies are given when it ends, and take a while to be written.
const margin = 30 * time.Second

// A Feed is what matters of smtpfeed's own configuration to a host MTA.
type Feed struct {
	Listen     []string      // "unix:PATH" or "tcp:HOST:PORT"; empty: systemd has the sockets, and nobody knows which
	Mode       fs.FileMode   // of a unix socket that does not exist yet
	Budget     time.Duration // from the host's final dot to our last reply
	MaxMessage int64         // octets; larger messages bounce
	TLSMode    string        // how much TLS mail has whose domain has no rule: off, opportunistic, required or verified; "" is opportunistic
}

// patience is how long a host MTA must wait for a reply. One that gives up earlier sends again what was delivered.
func (f Feed) patience() time.Duration { return f.Budget + margin }

// advice is a length of time to advise: what our own patches set, unless the budget is larger.
func (f Feed) advice(usual time.Duration) time.Duration {
	return max(usual, f.patience().Round(time.Minute)+time.Minute)
}

// ours says that a transport or mailer is meant for us, by its name or by where it leads.
func (f Feed) ours(name, place string) bool {
	return f.listens(place) || strings.Contains(name, "smtpfeed") || strings.Contains(place, "smtpfeed")
}

// listens says that smtpfeed listens at a place, "unix:PATH" or "tcp:HOST:PORT".
func (f Feed) listens(place string) bool {
	return slices.ContainsFunc(f.Listen, func(l string) bool { return samePlace(l, place) })
}

// misses says that a place that is meant for us is certainly not ours.
func (f Feed) misses(place string) bool { return len(f.Listen) > 0 && !f.listens(place) }

// samePlace compares sockets by path, and TCP by port and address.
func samePlace(a, b string) bool {
	if a == b {
		return true
	}
	pa, unixA := strings.CutPrefix(a, "unix:")
	pb, unixB := strings.CutPrefix(b, "unix:")
	if unixA || unixB {
		return unixA && unixB && samePath(pa, pb)
	}
	hostA, portA, errA := net.SplitHostPort(strings.TrimPrefix(a, "tcp:"))
	hostB, portB, errB := net.SplitHostPort(strings.TrimPrefix(b, "tcp:"))
	return errA == nil && errB == nil && portA == portB && sameHost(hostA, hostB)
}

// samePath knows that /var/run is /run.
func samePath(a, b string) bool {
	clean := func(p string) string {
		p = path.Clean(p)
		if below, ok := strings.CutPrefix(p, "/var/run/"); ok {
			return "/run/" + below
		}
		return p
	}
	return clean(a) == clean(b)
}

// sameHost compares addresses. localhost is the usual one of either family; 127.0.0.2 is another.
func sameHost(a, b string) bool {
	addrs := func(host string) []string {
		host = strings.ToLower(strings.Trim(host, "[]"))
		if strings.TrimSuffix(host, ".") == "localhost" {
			return []string{"127.0.0.1", "::1"}
		}
		return []string{host}
	}
	return slices.ContainsFunc(addrs(a), func(x string) bool { return slices.Contains(addrs(b), x) })
}

// seconds writes a length of time as configurations do.
func seconds(d time.Duration) string { return d.Truncate(time.Second).String() }
