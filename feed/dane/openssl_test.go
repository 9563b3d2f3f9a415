package dane

import (
	"bytes"
	"crypto/tls"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOpenSSLAgrees puts every row to OpenSSL's s_client, which has the DANE of Postfix and most others. A row that is known to
// be judged otherwise there says why, and must really be judged otherwise.
func TestOpenSSLAgrees(t *testing.T) {
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("NOT CHECKED: openssl is not installed (apt-get install openssl), so nothing is known of how others judge these chains")
	}
	for _, c := range allRows(t, newWorld(t, ecdsaKey)) {
		t.Run(c.rule, func(t *testing.T) {
			accepted, said := c.putTo(t, program)
			ours := c.result == ""
			if c.differs != "" {
				ours = !ours
			}
			assert.Equal(t, ours, accepted, "OpenSSL accepts what we accept, except where it is known not to (%q). It said: %s", c.differs, said)
		})
	}
}

// putTo lets s_client connect to a server with the chain and judge it by the records.
func (j judgement) putTo(t *testing.T, program string) (accepted bool, said []byte) {
	args := []string{"s_client", "-connect", j.serve(t), "-brief", "-no_ticket", "-verify_return_error",
		"-no-CAfile", "-no-CApath", "-no-CAstore", "-attime", strconv.FormatInt(today.Unix(), 10), "-dane_tlsa_domain", host,
		"-dane_ee_no_namechecks"} // RFC 7671 section 5.1: s_client wants the name below usage 3 too, unless it is told
	for _, r := range j.records {
		args = append(args, "-dane_tlsa_rrdata", r.String())
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	return err == nil && bytes.Contains(out, []byte("Verification: OK")), out
}

// serve is the address of a server that takes one connection and ends it after the handshake.
func (j judgement) serve(t *testing.T) string {
	cert := tls.Certificate{PrivateKey: j.chain[0].key}
	for _, e := range j.chain {
		cert.Certificate = append(cert.Certificate, e.cert.Raw)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := l.Accept()
		if err == nil {
			_ = conn.(*tls.Conn).Handshake()
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return l.Addr().String()
}
