package patches

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRefusals: where somebody decided already how mail leaves the machine, or nothing can be done, nothing is.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings, args []string
		code           int
		says           string
	}{
		"another default transport": {settings: []string{"default_transport=uucp:gate"}, code: 78, says: "postconf -X default_transport"},
		"a relay host":              {settings: []string{"relayhost=[smart.example.org]"}, code: 78, says: "relayhost is [smart.example.org]"},
		"a relay host by reference": {settings: []string{"gate=[g.example.org]", "relayhost=$gate"}, code: 78, says: "[g.example.org]"},
		"an unknown option":         {args: []string{"--now"}, code: 64, says: "unknown option --now"},
		"no number":                 {args: []string{"-p", "many"}, code: 64, says: "-p wants a number"},
		"no processes":              {args: []string{"-p", "0"}, code: 64, says: "-p wants a number"},
		"no sender":                 {args: []string{"--sender", "lists"}, code: 64, says: "NAME@DOMAIN"},
		"a sender that is syntax":   {args: []string{"--sender", "a@b}=c"}, code: 64, says: "NAME@DOMAIN"},
		"a socket that is relative": {args: []string{"-s", "lmtp.sock"}, code: 64, says: "absolute"},
		"a socket outside a chroot": {args: []string{"--chroot", "-s", "/run/lmtp.sock"}, code: 64, says: "must be below"},
		// Postfix's master has a socket of its own there, named as the service: lmtp would talk to itself.
		"the service's own socket": {args: []string{"--chroot", "-s", "/var/spool/postfix/private/smtpfeed"}, code: 64, says: "private"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := shipped(t, c.settings...)
			before := conf.files(t)
			r := conf.script(t, append([]string{"apply"}, c.args...)...)
			assert.Equal(t, c.code, r.code, "the exit code tells the kind of trouble: %s", r.err)
			assert.Contains(t, r.err, c.says, "the message tells what to do")
			assert.Equal(t, before, conf.files(t), "nothing was changed")
		})
	}
}

func TestNothingToUndo(t *testing.T) {
	t.Parallel()
	r := shipped(t).script(t, "undo")
	assert.Equal(t, 66, r.code, "there is nothing to read")
	assert.Contains(t, r.err, "nothing was applied", "and it says so")
}

func TestWithoutPostfix(t *testing.T) {
	t.Parallel()
	tools := t.TempDir() // a PATH with everything but Postfix
	for _, tool := range []string{"sh", "awk", "sed", "cat", "tr", "mktemp", "rm"} {
		require.NoError(t, os.Symlink(filepath.Join("/usr/bin", tool), filepath.Join(tools, tool)), "the tool can be linked")
	}
	r := runScript(t, []string{"PATH=" + tools}, "apply")
	assert.Equal(t, 69, r.code, "a program is missing")
	assert.Contains(t, r.err, "is Postfix installed?", "and it says which")
	r = runScript(t, []string{"PATH=" + tools}, "help")
	assert.Zero(t, r.code, "help is there also then")
}

func TestAnotherServiceOfThatName(t *testing.T) {
	t.Parallel()
	c := shipped(t)
	c.postconf(t, "-Me", "smtpfeed/unix=smtpfeed unix - n n - - pipe flags=R user=nobody argv=/bin/true")
	r := c.script(t, "apply")
	assert.Equal(t, 78, r.code, "somebody else's service is not overwritten")
	assert.Contains(t, r.err, "rename it first", "and it says what to do")
}

func TestAnOldQueueManagersType(t *testing.T) {
	t.Parallel()
	c := shipped(t)
	master := filepath.Join(c.dir, "master.cf")
	text, err := os.ReadFile(master)
	require.NoError(t, err, "there is a master.cf")
	text = []byte(strings.Replace(string(text), "\nqmgr      unix", "\nqmgr      fifo", 1))
	require.NoError(t, os.WriteFile(master, text, 0o644), "as upgrades from long ago leave it")
	assert.Contains(t, c.script(t, "apply", "--oqmgr").err, "no qmgr of type unix", "there is nothing to change, and it says so")
	assert.Zero(t, c.script(t, "apply").code, "without it all is well")
}

// TestLimitsAreRaisedOnly: an administrator's larger limit stays, also when applied twice.
func TestLimitsAreRaisedOnly(t *testing.T) {
	t.Parallel()
	c := shipped(t, "smtpd_recipient_limit=500000", "message_size_limit=0", "qmgr_message_recipient_limit=1000000")
	for range 2 {
		c.do(t, "apply")
		assert.Equal(t, "500000", c.get(t, "smtpd_recipient_limit"), "larger is left alone")
		assert.Equal(t, "0", c.get(t, "message_size_limit"), "and so is unlimited")
		assert.Equal(t, "1000000", c.get(t, "qmgr_message_recipient_limit"), "and the queue manager's")
	}
}

// TestMailboxesBoundMessages: local(8) does not start when message_size_limit is above mailbox_size_limit.
func TestMailboxesBoundMessages(t *testing.T) {
	t.Parallel()
	c := shipped(t, "mailbox_size_limit=20000000")
	assert.Contains(t, c.do(t, "apply"), "note: message_size_limit stays", "and why is told")
	assert.Equal(t, "10240000", c.get(t, "message_size_limit"), "messages stay as small as they were")
}

// TestProbesStay: address verification of others' addresses would find every address good if it asked smtpfeed.
func TestProbesStay(t *testing.T) {
	t.Parallel()
	c := shipped(t)
	c.do(t, "apply")
	assert.Equal(t, "smtp", c.get(t, "address_verify_default_transport"), "exchangers are asked as before")
	c = shipped(t, "address_verify_default_transport=probe")
	c.do(t, "apply")
	assert.Equal(t, "probe", c.get(t, "address_verify_default_transport"), "a transport of their own stays")
}

func TestSendersOfOthersStay(t *testing.T) {
	t.Parallel()
	c := shipped(t, "sender_dependent_default_transport_maps=hash:/etc/postfix/senders", "relayhost=[smart.example.org]")
	c.do(t, "apply", "--sender", "@Lists.Example.org", "--sender", "news@example.org")
	const to = "smtpfeed:unix:/run/smtpfeed/lmtp.sock"
	assert.Equal(t, "inline:{ {@lists.example.org = "+to+"} {news@example.org = "+to+"} } hash:/etc/postfix/senders",
		c.get(t, "sender_dependent_default_transport_maps"), "ours come first, in lower case, and the others' table is asked as before")
	assert.Equal(t, "smtp", c.get(t, "default_transport"), "other mail goes as before, to the relay host too")
	assert.Equal(t, "$default_transport", c.get(t, "address_verify_default_transport"), "and probes")
}

func TestRemarks(t *testing.T) {
	t.Parallel()
	c := shipped(t, "smtp_generic_maps=hash:/etc/postfix/generic", "transport_maps=hash:/etc/postfix/transport", "relay_domains=example.net")
	out := c.do(t, "show")
	assert.Contains(t, out, "note: smtp_generic_maps does not hold for what smtpfeed delivers; in smtpfeed.toml: no key\n", "what does not hold any longer")
	assert.Contains(t, out, "transport_maps is set: what it names goes its way as before", "what comes first")
	assert.Contains(t, out, "relay_domains is set", "what stays with Postfix")
}

// TestCounterparts: each setting of smtp(8) that smtpfeed does not obey is told, with the key that does the same.
func TestCounterparts(t *testing.T) {
	t.Parallel()
	for setting, key := range map[string]string{
		"smtp_bind_address=192.0.2.1":                     "source in [smtp]",
		"smtp_bind_address6=2001:db8::1":                  "source in [smtp]",
		"smtp_helo_name=out.example.org":                  "hostname",
		"smtp_fallback_relay=[b.example.org]":             "fallback in [smtp]",
		"fallback_relay=[b.example.org]":                  "fallback in [smtp]",
		"inet_protocols=ipv4":                             "family in [smtp]",
		"smtp_address_preference=ipv6":                    "family in [smtp]",
		"smtp_destination_concurrency_limit=5":            "sessions_per_host in [smtp]",
		"smtp_data_done_timeout=60s":                      "timeouts in [smtp]",
		"smtp_sasl_auth_enable=yes":                       "auth of a [[route]]",
		"smtp_sasl_password_maps=hash:/etc/postfix/p":     "auth of a [[route]]",
		"smtp_tls_policy_maps=hash:/etc/postfix/t":        "[[tls.destination]]. Until that is written, mail that must be encrypted by this table is treated as any other",
		"smtp_tls_CAfile=/etc/postfix/ca.pem":             "roots in [tls]",
		"smtp_tls_mandatory_protocols=!SSLv2":             "no key (TLS 1.2 is the least where TLS is required)",
		"smtp_tls_ciphers=high":                           "no key (TLS 1.2 is the least where TLS is required)",
		"smtp_header_checks=pcre:/etc/postfix/h":          "no key",
		"smtp_delivery_status_filter=pcre:/etc/postfix/f": "no key",
		"smtp_destination_rate_delay=1s":                  "no key",
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			name, _, _ := strings.Cut(setting, "=")
			out := shipped(t, setting).do(t, "show")
			assert.Contains(t, out, "note: "+name+" does not hold for what smtpfeed delivers; in smtpfeed.toml: "+key+"\n", "it is told")
			assert.Equal(t, 1, strings.Count(out, "does not hold"), "and nothing else is")
			assert.NotContains(t, out, "ATTENTION", "nothing is at risk")
		})
	}
}

// TestNoCounterparts: what is Postfix's default, however it is written, or costs nothing, is not worth a word.
func TestNoCounterparts(t *testing.T) {
	t.Parallel()
	out := shipped(t, "smtp_tls_CApath=/etc/ssl/certs", "smtp_tls_security_level=may", "smtp_tls_session_cache_database=btree:${data_directory}/smtp_scache",
		"smtp_helo_name=$myhostname", "smtp_bind_address=", "smtp_sasl_auth_enable=no", "inet_protocols=ipv6, ipv4", "smtp_tls_loglevel=1",
		"smtp_of_ours=x", "smtp_banner=$smtp_of_ours").do(t, "show")
	assert.Equal(t, 1, strings.Count(out, "note: "), "the missing socket is all there is to note: %s", out)
}

// TestMailThatMustBeEncrypted: that smtp(8) sends nothing without TLS, and smtpfeed by default does, must not be missed.
func TestMailThatMustBeEncrypted(t *testing.T) {
	t.Parallel()
	const loud, proof = "note: ATTENTION: mail that must be encrypted (", "[[tls.destination]] with mode = \"verified\""
	for name, c := range map[string]struct {
		settings     []string
		option, says string
		proof        bool
	}{
		"encrypt":              {settings: []string{"smtp_tls_security_level=encrypt"}, says: "smtp_tls_security_level is encrypt"},
		"dane-only":            {settings: []string{"smtp_tls_security_level=dane-only"}, says: "smtp_tls_security_level is dane-only", proof: true},
		"verify":               {settings: []string{"smtp_tls_security_level=verify"}, says: "smtp_tls_security_level is verify", proof: true},
		"secure":               {settings: []string{"smtp_tls_security_level=Secure"}, says: "smtp_tls_security_level is secure", proof: true},
		"fingerprint":          {settings: []string{"smtp_tls_security_level=fingerprint"}, says: "smtp_tls_security_level is fingerprint", proof: true},
		"by reference":         {settings: []string{"ours=encrypt", "smtp_tls_security_level=$ours"}, says: "smtp_tls_security_level is encrypt"},
		"by its old name":      {settings: []string{"smtp_enforce_tls=yes"}, says: "smtp_enforce_tls is yes", proof: true},
		"that asks no proof":   {settings: []string{"smtp_enforce_tls=yes", "smtp_tls_enforce_peername=no"}, says: "smtp_enforce_tls is yes"},
		"the new name counts":  {settings: []string{"smtp_enforce_tls=yes", "smtp_tls_security_level=may"}},
		"by master.cf":         {option: "smtp/unix/smtp_tls_security_level=encrypt", says: "smtp_tls_security_level is encrypt"},
		"master.cf comes last": {settings: []string{"smtp_tls_security_level=encrypt"}, option: "smtp/unix/smtp_tls_security_level=may"},
		"another service":      {option: "relay/unix/smtp_tls_security_level=encrypt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := shipped(t, c.settings...)
			if c.option != "" {
				conf.postconf(t, "-P", c.option)
			}
			out := conf.do(t, "show")
			if c.says == "" {
				assert.NotContains(t, out, "encrypted", "nothing is at risk")
				return
			}
			assert.Contains(t, out, loud+c.says+") goes out in PLAINTEXT", "it is told")
			assert.Contains(t, out, "mode = \"required\" in [tls]", "with the key that mends it")
			assert.Equal(t, c.proof, strings.Contains(out, proof), "and with the one that wants a certificate proved, where Postfix did")
			assert.Greater(t, strings.Index(out, loud), strings.LastIndex(out, "\nmain.cf: "), "at the end, where it is seen")
		})
	}
}

// TestMailThatMustBeEncryptedApplied: apply tells it too, before the command that makes the change count, and again when repeated.
func TestMailThatMustBeEncryptedApplied(t *testing.T) {
	t.Parallel()
	const loud = "note: ATTENTION: mail that must be encrypted (smtp_tls_security_level is encrypt)"
	c := shipped(t)
	c.postconf(t, "-Me", "out/unix=out unix - - y - - smtp -o smtp_tls_security_level=encrypt")
	assert.NotContains(t, c.do(t, "apply"), "ATTENTION", "a service that delivers nothing does not matter")
	c.postconf(t, "-P", "smtp/unix/smtp_tls_security_level=encrypt")
	out := c.do(t, "apply", "-p", "100")
	require.Contains(t, out, loud, "what delivered before the first apply does")
	assert.Less(t, strings.Index(out, loud), strings.Index(out, "Now, without delay"), "it is told before Postfix is reloaded")
	c = shipped(t, "default_transport=out", "relayhost=[smart.example.org]")
	c.postconf(t, "-Me", "out/unix=out unix - - y - - smtp -o smtp_tls_security_level=encrypt")
	assert.Contains(t, c.do(t, "apply", "--sender", "@lists.example.org"), loud, "and so does a service of another name, for one sender's mail")
	c = shipped(t, "default_transport=smtpfeed:unix:/run/smtpfeed/lmtp.sock")
	c.postconf(t, "-Me", "smtpfeed/unix=smtpfeed unix - - n - 200 lmtp")
	c.postconf(t, "-P", "smtp/unix/smtp_tls_security_level=encrypt")
	assert.Contains(t, c.do(t, "show"), loud, "who joined the two by hand is told of the smtp that Postfix comes with")
}

// TestOtherTLS: what smtp(8) does with TLS of its own will, and smtpfeed does otherwise.
func TestOtherTLS(t *testing.T) {
	t.Parallel()
	out := shipped(t, "smtp_tls_security_level=none").do(t, "show")
	assert.Contains(t, out, "note: smtp_tls_security_level is none, and smtpfeed uses TLS where it is offered: smtpfeed.toml has mode = \"off\" in [tls]", "TLS given up is told")
	out = shipped(t, "smtp_tls_security_level=dane").do(t, "show")
	assert.Contains(t, out, "note: smtp_tls_security_level is dane: smtpfeed.toml has dane = true in [tls] for that", "and DANE")
	assert.NotContains(t, out, "ATTENTION", "which both obey")
}

// TestManualSetup: who followed the README by hand before can go on with the script, and back to where he was.
func TestManualSetup(t *testing.T) {
	t.Parallel()
	c := shipped(t, "default_transport=smtpfeed:unix:/run/smtpfeed/lmtp.sock", "smtpfeed_destination_recipient_limit=2000")
	c.postconf(t, "-Me", "smtpfeed/unix=smtpfeed unix - - n - 200 lmtp -o lmtp_data_done_timeout=3600s -o daemon_timeout=86400s")
	before := c.files(t)
	out := c.do(t, "apply")
	assert.NotContains(t, out, "main.cf: default_transport:", "what is right already is not changed")
	assert.Contains(t, out, "master.cf: smtpfeed/unix: smtpfeed unix - - n - 200 lmtp ", "and what is not, is")
	c.do(t, "undo")
	assert.Equal(t, before, c.files(t), "and taken back")
}
