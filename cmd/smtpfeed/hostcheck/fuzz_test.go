package hostcheck

import (
	"os"
	"strings"
	"testing"
)

// whole checks that findings can be shown: one line each, and one for the command.
func whole(t *testing.T, found []Finding) {
	for _, f := range Sort(found) {
		if s := f.String(); strings.Count(s, "\n") > 1 || strings.ContainsAny(s, "\r\x1b\x00") {
			t.Fatalf("%q breaks out of its line", s)
		}
	}
}

// seed gives a fuzz target a file of testdata.
func seed(f *testing.F, name string) {
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
}

func FuzzReadSendmail(f *testing.F) {
	seed(f, "sendmail.cf")
	f.Add("Msmtpfeed, P=[IPC], F=, A=FILE\nOC\nO Timeout.datafinal=99999999999w\nO DeliveryMode=\nQ,\nM,=\n\tx\"\\")
	f.Fuzz(func(t *testing.T, text string) { whole(t, ReadSendmail(text).Check(ourFeed())) })
}

func FuzzReadExim(f *testing.F) {
	seed(f, "exim.config")
	f.Add("A = AA\nAA = A A\n.else\n.endif\n.ifdef A\nbegin transports\nsmtpfeed:\ndriver = lmtp\nsocket = A\nbatch_max = -1\nno_\n=\n\\")
	f.Fuzz(func(t *testing.T, text string) { whole(t, ReadExim(text).Check(ourFeed())) })
}

func FuzzReadOpenSMTPD(f *testing.F) {
	f.Add("a = \"b\naction \"x\" relay host \"lmtp://@:\" \\\n$a\nsmtp limit max-rcpt 5\ninclude \"a\"\nmta limit max-conn-per-host -1")
	f.Fuzz(func(t *testing.T, text string) {
		whole(t, ReadOpenSMTPD(text, func(string) string { return text }).Check(ourFeed()))
	})
}

func FuzzReadPostfix(f *testing.F) {
	f.Add("default_transport = smtpfeed:unix:x\ntransport_maps = hash:/x inline:{a=smtpfeed:b}\nqueue_directory = \ndaemon_timeout = 5", "smtpfeed unix - - - - 5 lmtp", "smtpfeed/unix/daemon_timeout = \x1b", "a smtpfeed:[::1]:24")
	f.Add("default_transport = out:\nrelayhost = \x1b\nsmtp_enforce_tls = yes\nsmtp_tls_policy_maps = x", "out unix - - - - 5 smtp\nsmtpfeed unix - - - - 5 lmtp", "out/unix/smtp_tls_security_level = \r\x1b", "a smtpfeed:[::1]:24")
	f.Fuzz(func(t *testing.T, params, services, overrides, table string) {
		p := ReadPostfix(params, services, overrides)
		p.AddTable(table)
		p.TableFiles()
		whole(t, p.Check(ourFeed()))
	})
}
