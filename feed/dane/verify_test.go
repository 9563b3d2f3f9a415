package dane

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"slices"
	"testing"

	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestVerify(t *testing.T) {
	for _, kind := range []struct {
		name string
		key  func(testing.TB) crypto.Signer
	}{{"ECDSA", ecdsaKey}, {"RSA", rsaKey}, {"Ed25519", edKey}} {
		t.Run(kind.name, func(t *testing.T) {
			for _, c := range allRows(t, newWorld(t, kind.key)) {
				t.Run(c.rule, func(t *testing.T) { c.check(t) })
			}
		})
	}
}

func (j judgement) check(t *testing.T) {
	got, err := Verify(today, chainOf(j.chain...), j.records, []string{host})
	if j.result == "" {
		require.NoError(t, err, "the server is the right one")
		assert.Equal(t, j.records[j.match], got, "the record that matched is told")
		return
	}
	assert.Equal(t, j.result, resultIn(t, err), "the result type is the one that RFC 8460 has for it")
	assert.Zero(t, got, "no record is told of a server that is not the right one")
}

// resultIn is the result type of an error of this package.
func resultIn(t testing.TB, err error) string {
	var e *Error
	require.ErrorAs(t, err, &e, "every error is an *Error")
	assert.Contains(t, e.Error(), e.Reason, "the text has the reason")
	return e.Result
}

func TestUsable(t *testing.T) {
	w := newWorld(t, ecdsaKey)
	rec := func(usage, selector, matching uint8, data string) resolver.TLSA {
		return resolver.TLSA{Usage: usage, Selector: selector, Matching: matching, Data: data}
	}
	cert, spki := string(w.leaf.cert.Raw), string(w.leaf.cert.RawSubjectPublicKeyInfo)
	n32, n64 := string(make([]byte, 32)), string(make([]byte, 64))
	for _, c := range []struct {
		rule    string
		records []resolver.TLSA
		usable  bool
	}{
		{"no record", nil, false},
		{"DANE-EE with SHA-256", records(rec(3, 1, 1, n32)), true},
		{"DANE-EE with SHA-512", records(rec(3, 0, 2, n64)), true},
		{"DANE-TA with SHA-256", records(rec(2, 0, 1, n32)), true},
		{"DANE-TA with SHA-512", records(rec(2, 1, 2, n64)), true},
		{"a certificate in full", records(rec(3, 0, 0, cert)), true},
		{"a key in full", records(rec(2, 1, 0, spki)), true},
		{"PKIX-TA is none for mail", records(rec(0, 0, 1, n32)), false},
		{"PKIX-EE is none for mail", records(rec(1, 1, 1, n32)), false},
		{"an unknown usage", records(rec(4, 1, 1, n32)), false},
		{"the private usage", records(rec(255, 1, 1, n32)), false},
		{"an unknown selector", records(rec(3, 2, 1, n32)), false},
		{"an unknown matching type", records(rec(3, 1, 3, n32)), false},
		{"SHA-256 without data", records(rec(3, 1, 1, "")), false},
		{"SHA-256 of 3 octets", records(rec(3, 1, 1, "abc")), false},
		{"SHA-256 with the length of SHA-512", records(rec(3, 1, 1, n64)), false},
		{"SHA-512 with the length of SHA-256", records(rec(3, 1, 2, n32)), false},
		{"a key where a certificate should be", records(rec(3, 0, 0, spki)), false},
		{"a certificate where a key should be", records(rec(3, 1, 0, cert)), false},
		{"a certificate cut short", records(rec(2, 0, 0, cert[:len(cert)-1])), false},
		{"the full form without data", records(rec(2, 1, 0, "")), false},
		{"one good record among bad ones", records(rec(0, 0, 1, n32), rec(3, 1, 1, ""), rec(3, 1, 1, n32)), true},
		{"a key too long to work with", records(rec(2, 1, 0, longKey(t))), false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.usable, Usable(c.records), "whether a record can match anything")
			if !c.usable {
				_, err := Verify(today, chainOf(w.leaf), c.records, []string{host})
				assert.Equal(t, TLSAInvalid, resultIn(t, err), "what is unusable verifies nobody")
			}
		})
	}
}

// longKey is an RSA key of 16,384 bits, made up: nobody needs its factors.
func longKey(t *testing.T) string {
	n := new(big.Int).SetBit(big.NewInt(1), 16383, 1)
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: 65537})
	require.NoError(t, err)
	return string(der)
}

func TestNames(t *testing.T) {
	w := newWorld(t, ecdsaKey)
	list := records(recordFor(w.root, 2, 1, 1))
	chain := chainOf(w.leaf, w.middle, w.root)
	for _, c := range []struct {
		rule  string
		names []string
		ok    bool
	}{
		{"any of the names will do", []string{"example.org", host}, true},
		{"a final dot does not matter", []string{host + "."}, true},
		{"case does not matter", []string{"MX.Example.Org"}, true},
		{"a parent is another name", []string{"example.org"}, false},
		{"a child is another name", []string{"a." + host}, false},
		{"an address is another name", []string{"192.0.2.1"}, false},
		{"the empty name", []string{""}, false},
		{"no name", nil, false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := Verify(today, chain, list, c.names)
			if c.ok {
				require.NoError(t, err, "the leaf has one of the names")
				return
			}
			assert.Equal(t, CertificateHost, resultIn(t, err), "the leaf has none of the names")
		})
	}
	got, err := Verify(today, chain, records(recordFor(w.leaf, 3, 1, 1)), nil)
	require.NoError(t, err, "DANE-EE asks for no name")
	assert.Equal(t, uint8(3), got.Usage, "the record that matched is told")
}

func TestEmptyNameNeverMatchesAnEmptyCommonName(t *testing.T) {
	w := newWorld(t, ecdsaKey)
	nameless := issue(t, w.root, host, ecdsaKey(t), named(), func(c *x509.Certificate) { c.Subject.CommonName = "" })
	_, err := Verify(today, chainOf(nameless, w.root), records(recordFor(w.root, 2, 0, 1)), []string{"", "."})
	assert.Equal(t, CertificateHost, resultIn(t, err), "no name is no match")
}

func TestNothingPresented(t *testing.T) {
	w := newWorld(t, ecdsaKey)
	for rule, chain := range map[string][]*x509.Certificate{"no chain": nil, "no leaf": {nil, w.root.cert}} {
		_, err := Verify(today, chain, records(recordFor(w.leaf, 3, 1, 1)), []string{host})
		assert.Equal(t, ValidationFailure, resultIn(t, err), rule)
	}
	_, err := Verify(today, []*x509.Certificate{{}, nil, {}}, records(recordFor(w.leaf, 3, 1, 1), recordFor(w.root, 2, 0, 0)), []string{host})
	assert.Equal(t, CertificateNotTrusted, resultIn(t, err), "certificates that nobody parsed")
}

func TestExpiredAnchorOfRecord(t *testing.T) {
	old := issue(t, nil, "CA old", ecdsaKey(t), lapsed)
	leaf := issue(t, old, host, ecdsaKey(t))
	for _, selector := range []uint8{selectorCert, selectorSPKI} {
		_, err := Verify(today, chainOf(leaf, old), records(recordFor(old, 2, selector, 1)), []string{host})
		assert.Equal(t, CertificateExpired, resultIn(t, err), "an anchor's certificate must be in time")
	}
	_, err := Verify(today, chainOf(leaf), records(recordFor(old, 2, 0, 0)), []string{host})
	assert.Equal(t, CertificateExpired, resultIn(t, err), "also where it stands in the record")
	_, err = Verify(today, chainOf(leaf), records(recordFor(old, 2, 1, 0)), []string{host})
	assert.NoError(t, err, "a bare key has no dates")
}

func TestWeakSignatureBelowBareKey(t *testing.T) {
	root := issue(t, nil, "CA root", ecdsaKey(t))
	leaf := *issue(t, root, host, ecdsaKey(t)).cert
	var a anchorage
	require.True(t, a.signedBy(root.key.Public(), &leaf), "the key has signed it")
	leaf.SignatureAlgorithm = x509.ECDSAWithSHA1
	assert.False(t, a.signedBy(root.key.Public(), &leaf), "SHA-1 proves nothing")
	leaf.SignatureAlgorithm = x509.ECDSAWithSHA256
	a.checks = maxChecks
	assert.False(t, a.signedBy(root.key.Public(), &leaf), "nothing is tried without end")
}

func TestBounds(t *testing.T) {
	w := newWorld(t, ecdsaKey)
	list := make([]resolver.TLSA, maxRecords)
	for i := range list {
		list[i] = recordFor(w.stranger, 3, 1, 1)
	}
	good := recordFor(w.leaf, 3, 1, 1)
	got, err := Verify(today, chainOf(w.leaf), append(slices.Clone(list[1:]), good), nil)
	require.NoError(t, err, "as many records as may be are looked at")
	assert.Equal(t, good, got, "the last of them matches")
	_, err = Verify(today, chainOf(w.leaf), append(list, good), nil)
	assert.Equal(t, TLSAInvalid, resultIn(t, err), "what stands behind them is not")
	assert.False(t, Usable(append(make([]resolver.TLSA, maxRecords), good)), "nor counted as usable")

	chain := chainOf(w.leaf)
	for range maxChain - 2 {
		chain = append(chain, w.stranger.cert)
	}
	chain = append(chain, w.middle.cert)
	_, err = Verify(today, chain, records(recordFor(w.middle, 2, 0, 1)), []string{host})
	require.NoError(t, err, "as many certificates as may be are looked at")
	_, err = Verify(today, slices.Insert(chain, 1, w.root.cert), records(recordFor(w.middle, 2, 0, 1)), []string{host})
	assert.Equal(t, TLSAInvalid, resultIn(t, err), "what stands behind them is not")

	full := make([]resolver.TLSA, maxFull)
	for i := range full {
		full[i] = recordFor(w.stranger, 2, 1, 0)
	}
	_, err = Verify(today, chainOf(w.leaf), append(full, recordFor(w.middle, 2, 1, 0)), []string{host})
	assert.Equal(t, TLSAInvalid, resultIn(t, err), "keys in full are tried up to a number")
}

func TestHugeKeysAreNotUsed(t *testing.T) {
	w := newWorld(t, ecdsaKey)
	huge := *w.middle.cert
	huge.PublicKey = &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), maxRSA, 1), E: 3}
	assert.Len(t, shortened([]*x509.Certificate{w.leaf.cert, &huge, w.root.cert}), 2, "it is as if it had not been sent")
	huge.PublicKey = &rsa.PublicKey{}
	assert.Len(t, shortened([]*x509.Certificate{w.leaf.cert, &huge}), 1, "nor is a key without a modulus")
}
