package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/cmd/smtpfeed/hostcheck"
)

const (
	sendmailFile  = "/etc/mail/sendmail.cf"
	opensmtpdFile = "/etc/smtpd.conf"

	commandWait = 10 * time.Second // for a command of a host MTA
	mostText    = 16 << 20         // octets of a configuration or a table that are read
)

// hostFlags say which host MTAs `smtpfeed check` looks at.
type hostFlags struct {
	Hosts     bool   `default:"true" negatable:"" help:"Look at the host MTAs that this machine has."`
	Postfix   string `placeholder:"DIR" help:"Look at the Postfix with this configuration directory. Who names one host MTA has only the named ones looked at."`
	Sendmail  string `placeholder:"FILE" help:"Look at this sendmail.cf."`
	Exim      string `placeholder:"FILE" help:"Look at this Exim configuration."`
	OpenSMTPD string `name:"opensmtpd" placeholder:"FILE" help:"Look at this smtpd.conf."`
}

// examineHosts reads the configuration of the host MTAs and says what is slow or unsafe in it. It changes nothing.
func (h hostFlags) examineHosts(c Config) []hostcheck.Finding {
	if !h.Hosts {
		return nil
	}
	f := c.forHosts()
	var found []hostcheck.Finding
	if h.Postfix+h.Sendmail+h.Exim+h.OpenSMTPD == "" {
		found = append(found, findPostfix(f)...)
		found = append(found, findExim(f)...)
		h.Sendmail, h.OpenSMTPD = ifThere(sendmailFile), ifThere(opensmtpdFile)
	}
	if h.Postfix != "" {
		found = append(found, examinePostfix(postconf(), absolute(h.Postfix), f)...)
	}
	found = append(found, examineFile("sendmail", h.Sendmail, func(text string) []hostcheck.Finding {
		s := hostcheck.ReadSendmail(text)
		s.File = absolute(h.Sendmail)
		return s.Check(f)
	})...)
	found = append(found, examineFile("exim", h.Exim, func(text string) []hostcheck.Finding {
		e := hostcheck.ReadExim(text)
		e.File = absolute(h.Exim)
		return e.Check(f)
	})...)
	return append(found, examineFile("opensmtpd", h.OpenSMTPD, func(text string) []hostcheck.Finding {
		o := hostcheck.ReadOpenSMTPD(text, included)
		o.File = absolute(h.OpenSMTPD)
		return o.Check(f)
	})...)
}

// forHosts is what matters of the configuration to a host MTA.
func (c Config) forHosts() hostcheck.Feed {
	f := hostcheck.Feed{Mode: c.LMTP.SocketMode.FileMode, Budget: c.LMTP.Budget.Duration, MaxMessage: int64(c.LMTP.MaxMessageSize), TLSMode: c.usualTLS()}
	for _, l := range c.LMTP.Listen {
		f.Listen = append(f.Listen, l.spec)
	}
	return f
}

// usualTLS is how much TLS mail has whose domain has no rule of its own: what "*" says, or else tls.mode. With a route for "*" the hosts
// of smtp.fallback may still take that mail, without the route's TLS: then the lesser counts.
func (c Config) usualTLS() string {
	mode := c.TLS.Mode
	for _, d := range c.TLS.Destinations {
		if d.Domain == "*" {
			mode = d.Mode
		}
	}
	for _, r := range c.Routes {
		if r.Domain == "*" && r.special() && (len(c.SMTP.Fallback) == 0 || tlsModes[r.mode()] < tlsModes[mode]) {
			mode = r.mode()
		}
	}
	return mode
}

// ifThere is the path of a file, or nothing if there is none.
func ifThere(file string) string {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return file
}

// examineFile reads a configuration file and passes it on; without a name there is nothing to do.
func examineFile(where, file string, check func(text string) []hostcheck.Finding) []hostcheck.Finding {
	if file == "" {
		return nil
	}
	text, err := readText(file)
	if err != nil {
		return []hostcheck.Finding{unread(where, err)}
	}
	return check(text)
}

// unread says that a host MTA could not be looked at. Nobody can say that it is safe, so this is a problem.
func unread(where string, err error) hostcheck.Finding {
	return hostcheck.Finding{Severity: hostcheck.Wrong, Where: where, Text: fmt.Sprintf("its configuration cannot be read: %v", err),
		Mend: "mend what is told here; for want of permission, run smtpfeed check as root"}
}

// absolute is the path from the root, which is what commands of Postfix want.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// readText reads a file as far as it makes sense.
func readText(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", name) // a FIFO would keep us waiting
	}
	text, err := io.ReadAll(io.LimitReader(file, mostText))
	return string(text), err
}

// included is the text of an included file; one that cannot be read says nothing.
func included(file string) string {
	text, _ := readText(file) // smtpd itself would not start without it
	return text
}

// program finds a command of a host MTA, also where PATH is that of a user; "" if there is none.
func program(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path
			}
		}
	}
	return ""
}

// output runs a command of a host MTA and returns what it printed. It ends in time, whatever the command does.
func output(wait time.Duration, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second // a child of its own may hold the pipe
	var out, complaint bounded
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("no answer in %s", wait)
	}
	if err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
		return "", fmt.Errorf("%s %s: %w: %s", path, strings.Join(args, " "), err, first)
	}
	return out.String(), nil
}

// bounded keeps the beginning of what a command prints. The buffer is no embedded field, whose ReadFrom would pass the bound.
type bounded struct{ kept bytes.Buffer }

// Write takes everything and keeps what fits.
func (b *bounded) Write(p []byte) (int, error) {
	b.kept.Write(p[:min(len(p), mostText-b.kept.Len())])
	return len(p), nil
}

// String is what was kept.
func (b *bounded) String() string { return b.kept.String() }

// postconf finds Postfix's command that knows its configuration.
func postconf() string { return program("postconf") }

// findPostfix looks at the default instance, if Postfix is installed and has a configuration.
func findPostfix(f hostcheck.Feed) []hostcheck.Finding {
	command := postconf()
	if command == "" {
		return nil
	}
	dir, err := output(commandWait, command, "-dh", "config_directory")
	if err != nil {
		return []hostcheck.Finding{unread("postfix", err)}
	}
	if ifThere(filepath.Join(strings.TrimSpace(dir), "main.cf")) == "" {
		return nil
	}
	return examinePostfix(command, "", f)
}

// examinePostfix looks at an instance; dir is "" for the default one.
func examinePostfix(command, dir string, f hostcheck.Feed) []hostcheck.Finding {
	if command == "" {
		return []hostcheck.Finding{unread("postfix", errors.New("there is no postconf"))}
	}
	var at []string
	if dir != "" {
		at = []string{"-c", dir}
	}
	var printed [3]string
	for i, what := range []string{"-x", "-M", "-Px"} {
		var err error
		if printed[i], err = output(commandWait, command, append(at, what)...); err != nil {
			return []hostcheck.Finding{unread("postfix", err)}
		}
	}
	p := hostcheck.ReadPostfix(printed[0], printed[1], printed[2])
	p.Dir = dir
	p.Account = account(p.Owner())
	var found []hostcheck.Finding
	for _, file := range p.TableFiles() {
		text, err := readText(file)
		if err != nil {
			found = append(found, hostcheck.Finding{Severity: hostcheck.Note, Where: "postfix", Text: fmt.Sprintf("a table cannot be searched for our transport: %v", err)})
		}
		p.AddTable(text)
	}
	return append(found, p.Check(f)...)
}

// account looks a user up; without a name or a number it is nobody, whose rights are not examined.
func account(name string) hostcheck.Account {
	u, err := user.Lookup(name)
	if err != nil {
		return hostcheck.Account{}
	}
	uid, errUser := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGroup := strconv.ParseUint(u.Gid, 10, 32)
	if errUser != nil || errGroup != nil {
		return hostcheck.Account{}
	}
	a := hostcheck.Account{Name: name, Group: u.Gid, UID: uint32(uid), GID: uint32(gid)}
	if g, err := user.LookupGroupId(u.Gid); err == nil {
		a.Group = g.Name
	}
	return a
}

// findExim looks at the Exim of this machine, which works out its macros itself. Debian installs its files before there is an
// Exim.
func findExim(f hostcheck.Feed) []hostcheck.Finding {
	command := program("exim4", "exim")
	if command == "" {
		return nil
	}
	text, err := output(commandWait, command, "-bP", "config")
	if err != nil {
		return []hostcheck.Finding{unread("exim", err)}
	}
	e := hostcheck.ReadExim(text)
	if e.File == "" {
		e.File = "Exim's configuration"
	}
	return e.Check(f)
}
