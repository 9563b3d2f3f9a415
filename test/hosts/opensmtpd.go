package hosts

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// An OpenSMTPD is an instance of Debian's OpenSMTPD. It has one variant beside the recommended one, "patched": built with the
// patch of patches/opensmtpd, below Root in opensmtpd-patched as a package would be.
type OpenSMTPD struct {
	setup   Setup
	addr    string
	version string
	binds   []bind
	*process
}

// OpenSMTPDRelays is at how many addresses smtpfeed listens beside OpenSMTPD: that of Setup.Feed, which ends in .1, and those
// that follow. patches/opensmtpd tells why.
const OpenSMTPDRelays = 100

// OpenSMTPD's users are compiled in. The numbers only have to be nobody's.
var (
	smtpdUser  = account{"opensmtpd", 9126}
	smtpdQueue = account{"opensmtpq", 9127}
)

// NewOpenSMTPD makes an instance and its queue. The user must be root.
func NewOpenSMTPD(s Setup) (*OpenSMTPD, error) {
	o := &OpenSMTPD{setup: s}
	var err error
	if o.addr, err = unusedAddr(); err != nil {
		return nil, err
	}
	if o.binds, err = s.accounts(smtpdUser, smtpdQueue); err != nil {
		return nil, err
	}
	if err := o.resolve(); err != nil {
		return nil, err
	}
	if err := o.makeDirs(); err != nil {
		return nil, err
	}
	conf, err := o.config()
	if err != nil {
		return nil, err
	}
	if err := s.write(file{"smtpd.conf", conf}); err != nil {
		return nil, err
	}
	return o, o.check()
}

// resolve says where names are looked up. OpenSMTPD asks for the name of each address it connects to: with smtpfeed that is
// 127.0.0.1, which must not wait for a DNS server that may not even be there.
func (o *OpenSMTPD) resolve() error {
	resolv, err := o.setup.resolvConf()
	if err != nil {
		return err
	}
	if resolv == "" {
		resolv = o.setup.path("resolv.conf")
		if err := o.setup.write(file{"resolv.conf", "lookup file\n"}); err != nil {
			return err
		}
	}
	o.binds = append(o.binds, bind{resolv, "/etc/resolv.conf"})
	return nil
}

// makeDirs makes what stands where the compiled-in paths point to: the queue, an empty directory to be confined in, and /run,
// where smtpctl(8) finds the daemon.
func (o *OpenSMTPD) makeDirs() error {
	for _, d := range []string{"lib", "lib/opensmtpd", "lib/opensmtpd/empty", "spool", "run"} {
		if err := os.Mkdir(o.setup.path(d), 0o755); err != nil {
			return err
		}
	}
	o.binds = append(o.binds,
		bind{o.setup.path("lib"), "/var/lib"},
		bind{o.setup.path("spool"), "/var/spool"},
		bind{o.setup.path("run"), "/run"})
	return nil
}

// program is one of its programs.
func (o *OpenSMTPD) program(name string) string {
	pkg := "opensmtpd"
	if o.setup.Variant == "patched" {
		pkg += "-patched"
	}
	return filepath.Join(Root(), pkg, "usr/sbin", name)
}

// within is a command line that sees the instance.
func (o *OpenSMTPD) within(argv ...string) []string { return within(o.binds, argv...) }

// check has the configuration read, and the version told.
func (o *OpenSMTPD) check() error {
	if err := run(o.within(o.program("smtpd"), "-n", "-f", o.setup.path("smtpd.conf"))...); err != nil {
		return fmt.Errorf("OpenSMTPD does not run (test/hosts/need unpacks it): %w", err)
	}
	argv := o.within(o.program("smtpd"), "-h")
	out, _ := exec.Command(argv[0], argv[1:]...).CombinedOutput() // it says "version: OpenSMTPD 6.8.0p2", and exits with 1
	_, version, _ := strings.Cut(string(out), "OpenSMTPD ")
	o.version, _, _ = strings.Cut(version, "\n")
	return nil
}

// Name is "OpenSMTPD" and its version.
func (o *OpenSMTPD) Name() string { return "OpenSMTPD " + o.version }

// Addr is where it listens.
func (o *OpenSMTPD) Addr() string { return o.addr }

// Log is what it prints in the foreground.
func (o *OpenSMTPD) Log() string { return o.setup.path("maillog") }

// Sendmail is its sendmail(1), which is smtpctl(8) under another name.
func (o *OpenSMTPD) Sendmail(args ...string) *exec.Cmd {
	argv := o.asQueue("sendmail", args...)
	return exec.Command(argv[0], argv[1:]...)
}

// asQueue is a command line of smtpctl(8), or of another of its names. Debian installs it with a group of its own, and it
// insists.
func (o *OpenSMTPD) asQueue(name string, args ...string) []string {
	group := strconv.Itoa(smtpdQueue.id)
	return o.within(append([]string{"setpriv", "--regid", group, "--clear-groups", o.program(name)}, args...)...)
}

// Start starts the daemon in the foreground.
func (o *OpenSMTPD) Start() (err error) {
	o.process, err = launch("", o.Log(), o.within(o.program("smtpd"), "-d", "-f", o.setup.path("smtpd.conf"))...)
	if err != nil {
		return err
	}
	if err := listening(o.addr); err != nil {
		return errors.Join(fmt.Errorf("OpenSMTPD does not take connections: %w", err), o.end())
	}
	return nil
}

// Stop ends the daemon, which breaks off what it is doing.
func (o *OpenSMTPD) Stop() error { return o.end() }

// Reload is a restart: OpenSMTPD cannot read its configuration again.
func (o *OpenSMTPD) Reload() error { return errors.Join(o.Stop(), o.Start()) }

// control runs smtpctl(8).
func (o *OpenSMTPD) control(args ...string) ([]byte, error) {
	argv := o.asQueue("smtpctl", args...)
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("smtpctl %v: %w: %s", args, err, out)
	}
	return out, nil
}

// Flush schedules everything now.
func (o *OpenSMTPD) Flush() error {
	_, err := o.control("schedule", "all")
	return err
}

// Queue asks smtpctl(8).
func (o *OpenSMTPD) Queue() (all []Queued, err error) {
	out, err := o.control("show", "queue")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(out)) {
		q, err := parseEnvelope(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return all, err
		}
		all = append(all, q)
	}
	return all, nil
}

// parseEnvelope reads a line of smtpctl show queue: "envelope's id|family|agent|flags|sender|original recipient|recipient|time of
// creation|of expiry|of the last try|number of tries|state|seconds|error". The time of the last try is always 0.
func parseEnvelope(line string) (q Queued, err error) {
	f := strings.SplitN(line, "|", 14)
	if len(f) < 14 || len(f[0]) != 16 {
		return q, fmt.Errorf("smtpctl show queue says %q", line)
	}
	waits := f[11] == "pending" && f[10] != "0" && f[12] != "0" && f[12][0] != '-'
	return Queued{ID: f[0][:8], Address: f[6], Reason: f[13], Active: !waits}, nil
}

// config is an instance's smtpd.conf.
func (o *OpenSMTPD) config() (string, error) {
	ip, port, _ := strings.Cut(o.addr, ":")
	deliver := o.itself
	if o.setup.Feed != "" {
		deliver = o.feed
	}
	delivery, err := deliver()
	lines := []string{
		"listen on " + ip + " port " + port + " hostname host.e2e.test",
		"smtp limit max-rcpt 200000",
		delivery,
	}
	return strings.Join(append(lines, o.setup.Settings...), "\n") + "\n", err
}

// itself is how OpenSMTPD delivers without smtpfeed. Tuned it has what somebody with large lists sets.
func (o *OpenSMTPD) itself() (string, error) {
	if p := o.setup.World.Port; p != "25" {
		return "", fmt.Errorf("OpenSMTPD delivers to port 25 only, not to %q", p)
	}
	lines := "action \"relay\" relay\nmatch from local for any action \"relay\"\n"
	if o.setup.Tuned {
		lines += "mta limit max-conn-per-source 1000 conn-delay-route 0 conn-delay-relay 0 reconn-delay-route 0\n" +
			"scheduler limit max-inflight 100000 max-schedule 1000\n"
	}
	return lines, nil
}

// feed is how patches/opensmtpd hands mail to smtpfeed.
func (o *OpenSMTPD) feed() (string, error) {
	name := "opensmtpd/smtpfeed.conf"
	if o.setup.Variant == "patched" {
		name = "opensmtpd/smtpfeed-patched.conf"
	}
	text, err := os.ReadFile(Patches(name))
	if err != nil {
		return "", err
	}
	ip, port, err := tcp(o.setup.Feed)
	if err != nil {
		return "", err
	}
	net := ip[:strings.LastIndexByte(ip, '.')+1]
	return strings.NewReplacer("127.0.0.", net, ":2424", ":"+port).Replace(string(text)), nil
}
