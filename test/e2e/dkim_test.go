package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// A signer is an opendkim(8) milter that signs for sender's domain.
type signer struct {
	milter string // as Postfix names it
	record string // the public key, as DNS has it
}

// startSigner starts opendkim with a key of its own.
func startSigner(t *testing.T) signer {
	t.Helper()
	dir := feedd.NewDir(t, "opendkim-")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err, "there is a key")
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err, "its public half can be published")
	socket := filepath.Join(dir, "milter.sock")
	conf := strings.Join([]string{
		"Mode s", "Domain sender.test", "Selector e2e", "KeyFile " + filepath.Join(dir, "key"), "RequireSafeKeys no",
		"Canonicalization simple/simple", // where a single octet that changes breaks the signature
		"Socket local:" + socket, "UMask 000", "Background no", "Syslog no", "InternalHosts 127.0.0.1", "OmitHeaders received",
	}, "\n") + "\n"
	for name, text := range map[string]string{"key": string(private), "conf": conf} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600), "opendkim is configured")
	}
	c := exec.Command("/usr/sbin/opendkim", "-f", "-x", filepath.Join(dir, "conf"))
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.Stderr = os.Stderr
	require.NoError(t, c.Start(), "opendkim starts (apt-get install opendkim)")
	t.Cleanup(func() {
		assert.NoError(t, c.Process.Signal(syscall.SIGTERM), "opendkim runs")
		c.Wait()
	})
	require.Eventually(t, func() bool { _, err := os.Stat(socket); return err == nil }, feedd.Patience, 10*time.Millisecond, "opendkim listens")
	return signer{"unix:" + socket, "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public)}
}

// verify says what a receiver finds that knows the public key.
func (s signer) verify(t *testing.T, content string) []*dkim.Verification {
	t.Helper()
	found, err := dkim.VerifyWithOptions(strings.NewReader(content), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		assert.Equal(t, "e2e._domainkey.sender.test", name, "the key that the signature names")
		return []string{s.record}, nil
	}})
	require.NoError(t, err, "the content can be read")
	return found
}

// What a milter of Postfix signs arrives as it was signed, whatever is in it, by DATA and by BDAT.
func TestSignaturesOfAMilterStayValid(t *testing.T) {
	for name, smtp := range map[string]string{"by DATA": "", "by BDAT": `chunking_from = "1"`} {
		t.Run(name, func(t *testing.T) {
			mx, signed := startExchanger(t, mxsim.Config{RTT: time.Millisecond}), startSigner(t)
			s := startSystem(t, systemConfig{
				world:   internet.Config{Domains: 1, Hosts: 1},
				feed:    feedd.Config{Routes: map[string][]string{"bytes.test": {mx.host}}, SMTP: smtp},
				postfix: []string{"smtpd_milters = " + signed.milter, "milter_default_action = tempfail"},
			})
			// Postfix folds lines of more than 998 octets on their way out of its queue, behind the milter: such a signature breaks without us too.
			content := strings.ReplaceAll(awkward, strings.Repeat("x", 997), strings.Repeat("x", 900))
			submit(t, s.postfix, mail{from: sender, to: []string{"a@bytes.test", "b@bytes.test"}, params: " BODY=8BITMIME", content: content})
			require.Eventually(t, func() bool { return len(mx.accepted()) == 2 }, feedd.Patience, 10*time.Millisecond, "the mail arrives")
			for _, c := range mx.contents() {
				field, rest := cutReceived(c) // opendkim puts its field on top of Postfix's trace
				assert.Regexp(t, `(?s)^DKIM-Signature: .*d=sender\.test`, field, "the signature is the sender's")
				_, rest = cutReceived(rest)
				assert.Equal(t, content, rest, "the rest is what was submitted, octet for octet")
				found := signed.verify(t, c)
				require.Len(t, found, 1, "there is one signature")
				assert.NoError(t, found[0].Err, "and it is valid")
				broken := signed.verify(t, strings.Replace(c, "trailing blanks   \t \r\n", "trailing blanks\r\n", 1))
				assert.Error(t, broken[0].Err, "a signature that does not notice missing blanks would say nothing")
			}
		})
	}
}
