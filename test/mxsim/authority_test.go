package mxsim_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// verify is what a client that trusts a says of an identity that should be for name.
func verify(a *mxsim.Authority, i *mxsim.Identity, name string) error {
	between := x509.NewCertPool()
	for _, c := range i.Chain {
		between.AddCert(c)
	}
	_, err := i.Leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), Intermediates: between, DNSName: name, CurrentTime: time.Now()})
	return err
}

func TestAuthorityIssues(t *testing.T) { testAuthorityIssues(t) }

// TestAuthorityIssuesInABubble is the same in the year 2000.
func TestAuthorityIssuesInABubble(t *testing.T) { synctest.Test(t, testAuthorityIssues) }
func testAuthorityIssues(t *testing.T) {
	a := mxsim.NewAuthority("test root")
	sub := a.Sub("one").Sub("two")
	assert.NoError(t, verify(a, a.Issue("mx.example", "192.0.2.1"), "mx.example"), "a name that was ordered")
	assert.NoError(t, verify(a, a.Issue("mx.example", "192.0.2.1"), "192.0.2.1"), "an address that was ordered")
	assert.NoError(t, verify(a, sub.IssueOrder(mxsim.Order{Names: []string{"*.example"}, OmitRoot: true}), "mx.example"), "through authorities below")
	assert.ErrorAs(t, verify(a, a.Issue("mx.example"), "other.example"), &x509.HostnameError{}, "another name")
	assert.ErrorAs(t, verify(a, a.IssueOrder(mxsim.Order{CommonName: "mx.example"}), "mx.example"), &x509.HostnameError{}, "no name but the common name")
	assert.ErrorAs(t, verify(a, mxsim.SelfSigned(mxsim.Order{Names: []string{"mx.example"}}), "mx.example"), &x509.UnknownAuthorityError{}, "self-signed")
	assert.ErrorAs(t, verify(a, mxsim.NewAuthority("test root").Issue("mx.example"), "mx.example"), new(x509.UnknownAuthorityError), "another authority")
	for _, v := range []mxsim.Validity{mxsim.Expired, mxsim.NotYetValid} {
		var invalid x509.CertificateInvalidError
		require.ErrorAs(t, verify(a, a.IssueOrder(mxsim.Order{Names: []string{"mx.example"}, Validity: v}), "mx.example"), &invalid, "out of its time")
		assert.Equal(t, x509.Expired, invalid.Reason, "because of its time")
	}
}

func TestIdentitySaysItsTLSA(t *testing.T) {
	a := mxsim.NewAuthority("test root")
	i := a.Sub("between").Issue("mx.example")
	key := sha256.Sum256(i.Leaf.RawSubjectPublicKeyInfo)
	assert.Equal(t, "3 1 1 "+hex.EncodeToString(key[:]), i.TLSARecord(3, 1, 1), "DANE-EE is about the leaf's key")
	root := sha256.Sum256(a.Certificate.Raw)
	assert.Equal(t, root[:], i.TLSA(2, 0, 1), "DANE-TA about the root, which is in the chain")
	assert.Equal(t, i.Leaf.Raw, i.TLSA(3, 0, 0), "the full form is the certificate")
	assert.Len(t, i.TLSA(3, 0, 2), 64, "SHA-512 has 64 octets")
	self := mxsim.SelfSigned(mxsim.Order{Names: []string{"mx.example"}})
	assert.Equal(t, self.TLSA(3, 1, 1), self.TLSA(2, 1, 1), "a self-signed one is its own root")
}

func TestIdentityWritesFilesThatAServerReads(t *testing.T) {
	a := mxsim.NewAuthority("test root")
	chain, key := a.Issue("mx.example").PEM()
	pair, err := tls.X509KeyPair(chain, key)
	require.NoError(t, err, "the files belong together")
	assert.Len(t, pair.Certificate, 2, "the chain is in them")
	assert.True(t, x509.NewCertPool().AppendCertsFromPEM(a.PEM()), "the root's file is one")
}

func TestCertificatesMayBeTooBig(t *testing.T) {
	a := mxsim.NewAuthority("test root")
	assert.Greater(t, len(a.IssueOrder(mxsim.Order{Names: []string{"mx"}, Padding: 1 << 20}).Leaf.Raw), 1<<20, "a padded certificate")
	deep := a
	for n := range 50 {
		deep = deep.Sub(strconv.Itoa(n))
	}
	i := deep.Issue("mx.example")
	assert.Len(t, i.Chain, 51, "every authority stands in the chain")
	assert.NoError(t, verify(a, i, "mx.example"), "and it is a chain")
}
