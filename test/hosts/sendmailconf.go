package hosts

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// configure makes the configuration as Debian does: by m4, from its own sendmail.mc with the lines in it that patches/sendmail
// tells an administrator to add. All files that it names are the instance's.
func (m *Sendmail) configure() error {
	if err := m.directories(); err != nil {
		return err
	}
	names := []string{"sendmail.mc", "submit.mc"}
	for i, edit := range []func(string) (string, error){m.sendmailMC, m.submitMC} {
		text, err := os.ReadFile(filepath.Join(sendmailSources(), "debian", names[i]))
		if err != nil {
			return err
		}
		mc, err := edit(m.relocated(string(text)))
		if err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
		if err := m.setup.write(file{names[i], mc}); err != nil {
			return err
		}
		if err := m4(m.setup.path(names[i]), m.setup.path(strings.TrimSuffix(names[i], "mc")+"cf")); err != nil {
			return err
		}
	}
	return nil
}

// sendmailSources is what is /usr/share/sendmail/cf where sendmail is installed.
func sendmailSources() string { return filepath.Join(Root(), "sendmail-cf/usr/share/sendmail/cf") }

// directories makes what is below the instance's directory: mail is its /etc/mail, cf its /usr/share/sendmail/cf with our mailer
// in it, dev its /dev.
func (m *Sendmail) directories() error {
	for _, d := range []string{"mail", "mail/m4", "cf", "cf/mailer", "dev", "devices"} {
		if err := os.Mkdir(m.setup.path(d), 0o755); err != nil {
			return err
		}
	}
	if err := m.setup.write(file{"mail/aliases", ""}, file{"mail/local-host-names", ""}, file{"mail/trusted-users", ""},
		file{"hosts", "127.0.0.1 localhost\n" + loopback + " " + sendmailHost + "\n"},
		file{"mail/service.switch", "hosts files dns\naliases files\n"}, // as Debian's
		file{"mail/m4/dialup.m4", ""}, file{"mail/m4/provider.m4", ""}); err != nil {
		return err
	}
	return errors.Join(m.link(), m.devices(), m.maps())
}

// link puts our mailer beside sendmail's own.
func (m *Sendmail) link() error {
	src := sendmailSources()
	links := map[string]string{"cf/mailer/smtpfeed.m4": Patches("sendmail/smtpfeed.m4")}
	for _, pattern := range []string{"*", "mailer/*"} {
		names, _ := filepath.Glob(filepath.Join(src, pattern))
		for _, name := range names {
			if rel := strings.TrimPrefix(name, src+"/"); rel != "mailer" {
				links["cf/"+rel] = name
			}
		}
	}
	for name, to := range links {
		if err := os.Symlink(to, m.setup.path(name)); err != nil {
			return err
		}
	}
	return nil
}

// devices links to those devices that programs open.
func (m *Sendmail) devices() error {
	for _, name := range []string{"null", "zero", "random", "urandom", "tty"} {
		if err := os.Symlink(m.setup.path("devices", name), m.setup.path("dev", name)); err != nil {
			return err
		}
	}
	return os.Symlink("/proc/self/fd", m.setup.path("dev/fd"))
}

// maps makes the tables that Debian's sendmail.mc reads, empty but for the right of this machine to relay.
func (m *Sendmail) maps() error {
	const access = "Connect:127 RELAY\nGreetPause:127 0\nClientRate:127 0\nClientConn:127 0\n" // from Debian's example
	for name, text := range map[string]string{"access": access, "aliases": ""} {
		makemap := filepath.Join(filepath.Dir(sendmailBinary()), "makemap")
		c := exec.Command(makemap, "-C", "/dev/null", "hash", m.setup.path("mail", name))
		c.Stdin = strings.NewReader(text)
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w: %s", makemap, name, err, out)
		}
	}
	return nil
}

// relocated is a .mc file of Debian's with our paths.
func (m *Sendmail) relocated(mc string) string {
	return strings.NewReplacer("/usr/share/sendmail/cf/", m.setup.path("cf")+"/", "/etc/mail/", m.setup.path("mail")+"/").Replace(mc)
}

// insert puts lines before (or behind, if that begins with "+") a line that begins so.
func insert(mc string, lines []string, at string) (string, error) {
	all := strings.Split(mc, "\n")
	i := slices.IndexFunc(all, func(l string) bool { return strings.HasPrefix(l, strings.TrimPrefix(at, "+")) })
	if i < 0 {
		return "", fmt.Errorf("there is no line %q", at)
	}
	if strings.HasPrefix(at, "+") {
		i++
	}
	return strings.Join(slices.Insert(all, i, lines...), "\n"), nil
}

// m4 makes a .cf file.
func m4(mc, cf string) error {
	c := exec.Command("m4", mc)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil || errs.Len() > 0 {
		return fmt.Errorf("m4 %s: %v: %s", mc, err, &errs)
	}
	return os.WriteFile(cf, out, 0o644)
}
