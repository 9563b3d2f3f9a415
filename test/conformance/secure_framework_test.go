package conformance

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// upgraded is a connection to a host, up to the handshake.
func upgraded(t *testing.T, h host) (*exchanger, *tls.Conn) {
	t.Helper()
	h.addr = "192.0.2.1"
	h.config = h.tls.server(h.tls.identity(names{}, h.addr))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err, "there is a listener")
	x := newExchanger(h, l, func(d time.Duration) time.Duration { return d }, nil, nil)
	t.Cleanup(x.close)
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err, "the host takes connections")
	t.Cleanup(func() { c.Close() })
	in := bufio.NewReader(c)
	for _, command := range []string{"", "EHLO me\r\n", "STARTTLS\r\n"} {
		fmt.Fprint(c, command)
		for line := "-----"; line[3] == '-'; {
			line, err = in.ReadString('\n')
			require.NoError(t, err, "%q is answered", command)
		}
	}
	return x, tls.Client(c, &tls.Config{RootCAs: authority().Pool(), ServerName: "mx1.test"})
}

func TestAServerSpeaksTLS(t *testing.T) {
	x, c := upgraded(t, host{tls: &secured{offer: []string{"SIZE 7"}}})
	require.NoError(t, c.Handshake(), "with a certificate for its name")
	fmt.Fprint(c, "EHLO me\r\n")
	in := bufio.NewScanner(c)
	for in.Scan() && in.Text()[3] == '-' {
	}
	assert.Equal(t, "250 SIZE 7", in.Text(), "it offers something else inside")
	seen := x.connections()[0]
	assert.NotNil(t, seen.channel, "the connection is known to be one of TLS")
	assert.Equal(t, "mx1.test", seen.hellos[0].ServerName, "and the name that was asked for")
	fmt.Fprint(c, "STARTTLS\r\n")
	require.True(t, in.Scan(), "it answers")
	assert.Equal(t, "503 5.5.1 it is on", in.Text(), "STARTTLS inside TLS is wrong")
	assert.Equal(t, []string{"STARTTLS inside TLS"}, x.connections()[0].complaints, "and is noticed")
}

func TestAServerMisbehavesBelowTLS(t *testing.T) {
	_, c := upgraded(t, host{tls: inOrder(), faults: []fault{{at: atHandshake, do: do(alert(40), fin)}}})
	assert.ErrorContains(t, c.Handshake(), "handshake failure", "an alert in place of the handshake")
	_, c = upgraded(t, host{tls: &secured{sealed: true}, faults: []fault{{at: atEhloTLS, do: do(alert(80), fin)}}})
	require.NoError(t, c.Handshake(), "the handshake is in order")
	fmt.Fprint(c, "EHLO me\r\n")
	_, err := c.Read(make([]byte, 1))
	assert.ErrorContains(t, err, "internal error", "an encrypted alert behind it")
	_, c = upgraded(t, host{tls: inOrder(), faults: []fault{{at: atHandshake, when: postQuantum, do: do(rst)}}})
	assert.Error(t, c.Handshake(), "a ClientHello that does not suit it")
}

func TestZonesAreFilledIn(t *testing.T) {
	ids := identities{"mx1": inOrder().identity(names{}, "192.0.2.1")}
	zone := ids.records("_25._tcp.mx1.test. TLSA 3 1 1 of:mx1\n_25._tcp.mx2.test. TLSA 3 1 1 of:mx2\n", 2525)
	assert.Contains(t, zone, "_2525._tcp.mx1.test. TLSA "+ids["mx1"].TLSARecord(3, 1, 1)+"\n", "with what fits the certificate, and the port")
	assert.Contains(t, zone, "_2525._tcp.mx2.test. TLSA 3 1 1 "+nulls+"\n", "with nothing for a host without one")
}

// TestABrokenExpectationOfTLSFails: each of these is a good row with one thing changed.
func TestABrokenExpectationOfTLSFails(t *testing.T) {
	good := func() row { return protected("X", "good", 1) }
	for name, c := range map[string]struct {
		change func(*row)
		says   string
	}{
		"nothing":                      {func(*row) {}, ""},
		"plaintext":                    {func(r *row) { r.tls = nil }, "came to 192.0.2.1 in plaintext"},
		"TLS where none is wanted":     {func(r *row) { r.channel = inClear }, "came to 192.0.2.1 inside TLS"},
		"records that do not fit":      {func(r *row) { r.setup.dane, r.signed, r.extra = true, true, tlsa("TLSA 3 1 1 "+nulls) }, "T 4.7.5, wanted OK"},
		"a DNS that nobody has signed": {func(r *row) { r.setup.dane, r.extra, r.want = true, tlsa("TLSA 3 1 1 "+nulls), all("T 4.7.5") }, "OK, wanted T 4.7.5"},
		"a policy that names somebody": {func(r *row) {
			r.setup.sts, r.extra, r.policies = true, stsRecords, []policyHost{{domain: "one.test", text: policy("enforce", "x.test")}}
		}, "T 4.7.5, wanted OK"},
		"what comes behind a fault": {func(r *row) { r.faults = []fault{{at: atStartTLS, do: do(say("220 go"), watched)}} }, "sent after the fault"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := good()
				c.change(&r)
				w := newMemory(r.link)
				e := startEngine(t, w, r.setup)
				v := (&play{row: r, world: w, mailer: e}).run()
				e.end()
				var texts []string
				for _, p := range v.problems {
					texts = append(texts, p.text)
				}
				assert.Equal(t, c.says == "", len(texts) == 0, "it fails if it should: %v", texts)
				assert.Contains(t, strings.Join(texts, "\n"), c.says, "for the right reason")
			})
		})
	}
}
