package dane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/stretchr/testify/require"
)

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b, ecdsaKey)
	whole := chainOf(w.leaf, w.middle, w.root)
	chain, list := hostile(b, slowKey)
	for _, c := range []struct {
		name    string
		chain   []*x509.Certificate
		records []resolver.TLSA
	}{
		{"3 1 1", whole, records(recordFor(w.leaf, 3, 1, 1))},
		{"2 1 1", whole, records(recordFor(w.root, 2, 1, 1))},
		{"hostile", chain, list},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = Verify(today, c.chain, c.records, []string{host})
			}
		})
	}
}

// slowKey is of the slowest kind that crypto/x509 knows.
func slowKey(t testing.TB) crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	require.NoError(t, err)
	return key
}

// hostile is what makes most work that we know of: CAs of one name, of which each could have signed each, and records with keys in full
// that have signed nothing.
func hostile(t testing.TB, key func(testing.TB) crypto.Signer) (chain []*x509.Certificate, list []resolver.TLSA) {
	ca := issue(t, nil, "CA slow", key(t))
	chain = chainOf(issue(t, ca, host, ca.key))
	for range maxChain - 1 {
		chain = append(chain, issue(t, ca, "CA slow", key(t)).cert, issue(t, ca, "CA slow", ca.key).cert)
	}
	for range maxFull {
		list = append(list, recordFor(issue(t, nil, "CA slow", key(t)), 2, 1, 0), recordFor(issue(t, nil, "CA slow", key(t)), 2, 0, 0))
	}
	return chain, list
}

func TestHostileChain(t *testing.T) {
	chain, list := hostile(t, ecdsaKey)
	_, err := Verify(today, chain, list, []string{host})
	require.Equal(t, TLSAInvalid, resultIn(t, err), "however much there is to try, it ends and nothing is believed")
}
