package hosts

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// A Host is an instance of a host MTA. Its methods are for one goroutine at a time, except Addr, Log and Sendmail.
type Host interface {
	// Name is what it calls itself, with its version: "Postfix 3.7.11".
	Name() string
	// Addr is where its SMTP server takes mail for everybody, "IP:PORT".
	Addr() string
	// Sendmail is its sendmail(1), ready to be given standard input and run.
	Sendmail(args ...string) *exec.Cmd
	// Start starts it and returns when it takes connections. The queue is that of the last time.
	Start() error
	// Stop stops it as an administrator does, and returns when all its processes have ended.
	Stop() error
	// Reload makes it read its configuration again, as an administrator does.
	Reload() error
	// Flush makes it try everything in its queue now, and may return before that is done.
	Flush() error
	// Queue lists all recipients that it holds, from the reply to a mail's data on. One of a mail that moves meanwhile has no address.
	Queue() ([]Queued, error)
	// Pid is the process below which all of its processes are.
	Pid() int
	// Log is the file that it logs to.
	Log() string
}

// A Queued is a recipient in a host's queue.
type Queued struct {
	ID      string // of the message in the queue
	Address string
	Reason  string // why it was not delivered yet; "" when it was not tried, or the host does not tell
	Active  bool   // it is being delivered, or will be without waiting for the next try
}

// A Setup is what an instance is told.
type Setup struct {
	// Dir is a directory of its own. It exists, everybody can read it, and its name is short enough for sockets below it.
	Dir string
	// Feed is where smtpfeed listens, "unix:PATH" or "tcp:IP:PORT". "" lets the host deliver itself.
	Feed string
	// Program is smtpfeed's command line, for hosts and variants that start it for each message.
	Program []string
	// Variant is one of the ways in which patches/ joins this host and smtpfeed; "" is the one that is recommended.
	Variant string
	// World is where a host that delivers itself does so.
	World World
	// Tuned makes a host that delivers itself as quick as its own settings can; otherwise it is as Debian ships it.
	Tuned bool
	// Settings are lines added to its configuration. A later one counts.
	Settings []string
}

// A World is an internet for a host that delivers itself.
type World struct {
	DNS  string // the IP address of its DNS server, on port 53
	Port string // where all of its mail hosts listen
}

// rootVariable names where the packages are that are unpacked and not installed.
const rootVariable = "SMTPFEED_HOSTS"

// Root is the directory below which test/hosts/need unpacks the packages of hosts that cannot be installed beside each other, each
// in a directory with its package's name.
func Root() string {
	if dir := os.Getenv(rootVariable); dir != "" {
		return dir
	}
	return "/var/cache/smtpfeed-hosts"
}

// Patches is the path of a file in this repository's patches/, which an administrator applies: what is tested is what ships.
func Patches(name string) string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../../patches", name)
}
