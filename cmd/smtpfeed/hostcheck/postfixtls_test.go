package hostcheck

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tunedSender is a main.cf that leaves nothing to say but that only a list's mail goes through smtpfeed.
func tunedSender() string {
	return without(tuned, "default_transport") +
		"sender_dependent_default_transport_maps = inline:{ {@lists.test = smtpfeed:unix:/run/smtpfeed/lmtp.sock} }\n"
}

// TestPostfixMustEncrypt: where smtp(8) sent nothing without TLS, smtpfeed must not either.
func TestPostfixMustEncrypt(t *testing.T) {
	t.Parallel()
	const leaks = "mail that must be encrypted goes out in plaintext where a receiver offers no TLS"
	level := func(l string) string { return "smtp_tls_security_level = " + l + "\n" }
	for _, c := range []struct{ rule, main, option, says string }{
		{"nothing is demanded by default", "", "", ""},
		{"may demands nothing", level("may"), "", ""},
		{"none demands nothing", level("none"), "", ""},
		{"dane demands what receivers publish, as smtpfeed does", level("dane"), "", ""},
		{"encrypt", level("encrypt"), "", "unsafe: postfix: smtp_tls_security_level is encrypt, which does not hold for what smtpfeed delivers, and smtpfeed's tls.mode is opportunistic: " + leaks},
		{"dane-only", level("dane-only"), "", "unsafe: postfix: smtp_tls_security_level is dane-only,"},
		{"fingerprint", level("fingerprint"), "", "unsafe: postfix: smtp_tls_security_level is fingerprint,"},
		{"verify", level("verify"), "", "unsafe: postfix: smtp_tls_security_level is verify,"},
		{"secure in capitals", level("SECURE"), "", "unsafe: postfix: smtp_tls_security_level is secure,"},
		{"by reference", "ours = encrypt\n" + level("$ours"), "", "unsafe: postfix: smtp_tls_security_level is encrypt,"},
		{"by its old name", "smtp_enforce_tls = yes\n", "", "unsafe: postfix: smtp_enforce_tls is yes,"},
		{"the new name counts", "smtp_enforce_tls = yes\n" + level("may"), "", ""},
		{"-o comes before main.cf", level("may"), "smtp -o smtp_tls_security_level=encrypt", "unsafe: postfix: smtp_tls_security_level is encrypt,"},
		{"and takes it back", level("encrypt"), "smtp -o smtp_tls_security_level=may", ""},
		{"-o for the mail of relay_domains is not about ours", "", "relay -o smtp_tls_security_level=encrypt", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			services := tunedServices
			if name, option, ok := strings.Cut(c.option, " "); ok {
				entry := name + " unix - - n - - smtp"
				services = strings.Replace(services, entry, entry+" "+option, 1)
				require.Contains(t, services, option, "the service has the option")
			}
			p := readReal(t, tuned+c.main, services)
			expect(t, p, c.says)
			f := ourFeed()
			f.TLSMode = "required"
			assert.NotContains(t, summary(p.Check(f)), "unsafe", "with the key that is advised it is mended")
		})
	}
}

// TestPostfixMustEncryptAsConfigured: the finding follows what smtpfeed does, and says how to mend it.
func TestPostfixMustEncryptAsConfigured(t *testing.T) {
	t.Parallel()
	encrypt := readReal(t, tuned+"smtp_tls_security_level = encrypt\n", tunedServices)
	secure := readReal(t, tuned+"smtp_tls_security_level = secure\n", tunedServices)
	const proof = "note: postfix: smtp_tls_security_level is secure, so that Postfix wants certificates that prove whose they are; smtpfeed takes any"
	for _, c := range []struct {
		rule string
		Postfix
		mode, says, mend string
	}{
		{"off is worse", encrypt, "off", "unsafe: postfix: smtp_tls_security_level is encrypt, which does not hold for what smtpfeed delivers, and smtpfeed's tls.mode is off: ", `mode = "required" in [tls] of smtpfeed.toml`},
		{"opportunistic", encrypt, "opportunistic", "unsafe: postfix: smtp_tls_security_level is encrypt", `mode = "required" in [tls] of smtpfeed.toml`},
		{"required is as much", encrypt, "required", "", ""},
		{"verified is more", encrypt, "verified", "", ""},
		{"without TLS nothing is proved either", secure, "opportunistic", "unsafe: postfix: smtp_tls_security_level is secure", `mode = "required"`},
		{"required proves nothing", secure, "required", proof, `[[tls.destination]] with domain, mode = "verified" and names`},
		{"verified does", secure, "verified", "", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			f := ourFeed()
			f.TLSMode = c.mode
			said := summary(c.Check(f))
			wants(t, c.says, said)
			assert.Contains(t, said, c.mend, "and it says what to do")
		})
	}
	assert.Contains(t, summary(secure.Check(ourFeed())), proof, "both findings are there at once")
}

// TestPostfixMustEncryptOldName: smtp_enforce_tls wants the server's name in its certificate, unless another setting says no.
func TestPostfixMustEncryptOldName(t *testing.T) {
	t.Parallel()
	f := ourFeed()
	f.TLSMode = "required"
	const enforced = tuned + "smtp_enforce_tls = yes\n"
	wants(t, "note: postfix: smtp_enforce_tls is yes, so that Postfix wants certificates", summary(readReal(t, enforced, tunedServices).Check(f)))
	wants(t, "", summary(readReal(t, enforced+"smtp_tls_enforce_peername = no\n", tunedServices).Check(f)))
}

// TestPostfixMustEncryptList: what was demanded of all mail was demanded of a list's mail too, unless all of it went to a relay host.
func TestPostfixMustEncryptList(t *testing.T) {
	t.Parallel()
	const encrypt = "smtp_tls_security_level = encrypt\n"
	for _, c := range []struct{ rule, main, services, says string }{
		{"nothing is demanded", "", "", ""},
		{"one sender's mail must be encrypted", encrypt, "", "unsafe: postfix: smtp_tls_security_level is encrypt, "},
		{"by the service that would deliver it", "default_transport = out\n", "out unix - - n - - smtp -o smtp_tls_security_level=encrypt\n", "unsafe: postfix: smtp_tls_security_level is encrypt, "},
		{"by that alone", "default_transport = out\n" + encrypt, "out unix - - n - - smtp -o smtp_tls_security_level=may\n", ""},
		{"a default that is no SMTP", "default_transport = uucp:gate\n" + encrypt, "uucp unix - n n - - pipe\n", "unsafe: postfix: smtp_tls_security_level is encrypt, "},
		{"perhaps it is meant for the relay host", "relayhost = [smart.test]:587\n" + encrypt, "", ""},
		{"not one that other mail does not go to", "relayhost = [smart.test]:587\ndefault_transport = smtp:[gate.test]\n" + encrypt, "", "unsafe: postfix: smtp_tls_security_level is encrypt, "},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			said := summary(readReal(t, tunedSender()+c.main, tunedServices+c.services).Check(ourFeed()))
			if c.says != "" {
				wants(t, c.says, said)
				return
			}
			assert.NotContains(t, said, "unsafe", "nothing is certain: %s", said)
			if strings.Contains(c.main, "relayhost") {
				assert.Contains(t, said, "note: postfix: smtp_tls_security_level is encrypt, ", "it is worth knowing")
				assert.Contains(t, said, "(if that is meant for more than the relay host [smart.test]:587)", "and why it may be meant so")
			}
		})
	}
}

// TestPostfixTLSTables: what a table says of some domains is for [[tls.destination]] to say.
func TestPostfixTLSTables(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"smtp_tls_policy_maps", "smtp_tls_per_site"} {
		said := summary(readReal(t, tuned+name+" = hash:/etc/postfix/tls\n", tunedServices).Check(ourFeed()))
		wants(t, "note: postfix: "+name+" does not hold for what smtpfeed delivers", said)
		assert.Contains(t, said, "[[tls.destination]] with domain and mode", "and it says what does the same")
	}
}
