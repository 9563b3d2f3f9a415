package dane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/stretchr/testify/require"
)

// today is when the tests take place: nothing here asks the clock.
var today = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// An entity is a certificate with its key.
type entity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// A change makes a certificate other than usual.
type change func(*x509.Certificate)

func ecdsaKey(t testing.TB) crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func rsaKey(t testing.TB) crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 1024) // short: nobody keeps it, and it is made often
	require.NoError(t, err)
	return key
}

func edKey(t testing.TB) crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

// issue makes a certificate: a CA's for a subject that begins with "CA", else a server's for the host of that name. by nil signs
// itself.
func issue(t testing.TB, by *entity, subject string, key crypto.Signer, changes ...change) *entity {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: subject},
		NotBefore: today.AddDate(0, -1, 0), NotAfter: today.AddDate(0, 1, 0), BasicConstraintsValid: true}
	if subject[:2] == "CA" {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	} else {
		c.DNSNames, c.ExtKeyUsage = []string{subject}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, f := range changes {
		f(c)
	}
	e := &entity{cert: c, key: key}
	if by == nil {
		by = e
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.cert, key.Public(), by.key)
	require.NoError(t, err)
	e.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return e
}

func expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = today.AddDate(0, -3, 0), today.AddDate(0, -2, 0)
}

func lapsed(c *x509.Certificate) { c.NotAfter = today.AddDate(0, 0, -1) }

func future(c *x509.Certificate) { c.NotBefore = today.AddDate(0, 0, 1) }

func named(names ...string) change { return func(c *x509.Certificate) { c.DNSNames = names } }

// record is the TLSA record for a certificate.
func recordFor(e *entity, usage, selector, matching uint8) resolver.TLSA {
	return resolver.TLSA{Usage: usage, Selector: selector, Matching: matching, Data: formOf(e.cert, selector, matching)}
}

func chainOf(list ...*entity) (chain []*x509.Certificate) {
	for _, e := range list {
		chain = append(chain, e.cert)
	}
	return chain
}

// sent is what a server sends: its own certificate, whose key it has, and others.
func sent(list ...*entity) []*entity { return list }

func records(list ...resolver.TLSA) []resolver.TLSA { return list }

// A world is a usual hierarchy, and others that resemble it.
type world struct {
	root, middle, leaf *entity // CA root > CA middle > mx.example.org
	self               *entity // mx.example.org, signed by itself
	stranger           *entity // a CA that has nothing to do with them
	strangers          *entity // mx.example.org, by the stranger
	forged             *entity // a CA with middle's subject and another key
	forgeds            *entity // mx.example.org, by the forged one
}

const host = "mx.example.org"

func newWorld(t testing.TB, key func(testing.TB) crypto.Signer) *world {
	w := &world{root: issue(t, nil, "CA root", key(t))}
	w.middle = issue(t, w.root, "CA middle", key(t))
	w.leaf = issue(t, w.middle, host, key(t))
	w.self = issue(t, nil, host, key(t))
	w.stranger = issue(t, nil, "CA stranger", key(t))
	w.strangers = issue(t, w.stranger, host, key(t))
	w.forged = issue(t, nil, "CA middle", key(t))
	w.forgeds = issue(t, w.forged, host, key(t))
	return w
}
