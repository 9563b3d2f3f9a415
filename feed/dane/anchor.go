package dane

import (
	"crypto/x509"
	"errors"
	"time"

	"github.com/smtpfeed/smtpfeed/resolver"
)

// An anchorage is the verification of one chain below the trust anchors that records of usage 2 name (RFC 7671 section 5.2).
type anchorage struct {
	now     time.Time
	certs   []*presented // the chain, its leaf first
	roots   *x509.CertPool
	anchors []anchor // what is in roots, in the order of the records
	matched bool     // some record is about something that the server presented
	checks  int      // signatures checked with keys that stand in records
}

// An anchor is a certificate that is trusted because a record says so.
type anchor struct {
	cert   *x509.Certificate
	record resolver.TLSA
}

// trust makes anchors of what a record names. A trust anchor need not be a root: the chain ends at an intermediate that matches,
// whoever has signed that one. And it need not be in the chain, if the record has it in full (RFC 7671 sections 5.2.1 and 5.2.2).
func (a *anchorage) trust(r record) {
	for i, p := range a.certs {
		// What a key in the record has signed is an end or a CA's. crypto/x509 would ask an intermediate for that, and does not ask a root.
		fit := i == 0 || p.BasicConstraintsValid && p.IsCA
		if p.matches(r) || fit && a.signedBy(r.key, p.Certificate) {
			a.matched = true
			a.add(p.Certificate, r)
		}
	}
	if r.cert != nil {
		a.add(r.cert, r)
	}
}

func (a *anchorage) add(c *x509.Certificate, r record) {
	a.roots.AddCert(c)
	a.anchors = append(a.anchors, anchor{c, r.TLSA})
}

// signedBy says that a certificate was signed by a key that stands in a record and that no certificate need tell of. Such a
// certificate is as good as an anchor: nothing but the key is known of the real one, so there is nothing more to check there.
func (a *anchorage) signedBy(key any, c *x509.Certificate) bool {
	if key == nil || isWeak(c.SignatureAlgorithm) || a.checks == maxChecks {
		return false
	}
	a.checks++
	signer := x509.Certificate{PublicKey: key}
	return signer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// isWeak says what CheckSignatureFrom refuses and CheckSignature does not. MD5 is refused by both.
func isWeak(s x509.SignatureAlgorithm) bool {
	return s == x509.SHA1WithRSA || s == x509.ECDSAWithSHA1 || s == x509.DSAWithSHA1
}

// verify finds a chain from the leaf to an anchor and a name of the leaf's.
func (a *anchorage) verify(names []string) (resolver.TLSA, error) {
	if len(a.anchors) == 0 {
		return resolver.TLSA{}, errNoMatch()
	}
	chains, err := a.chains()
	if err != nil {
		return resolver.TLSA{}, a.explain(err)
	}
	for _, c := range chains {
		if hasName(c, names) {
			return a.recordOf(c), nil
		}
	}
	return resolver.TLSA{}, &Error{CertificateHost, "the server's certificate has none of the names that it must have"}
}

// chains asks crypto/x509, which gives up after 100 signature checks. It knows no other anchors than ours.
func (a *anchorage) chains() ([][]*x509.Certificate, error) {
	intermediates := x509.NewCertPool()
	for _, p := range a.certs[1:] {
		intermediates.AddCert(p.Certificate)
	}
	return a.certs[0].Verify(x509.VerifyOptions{Roots: a.roots, Intermediates: intermediates, CurrentTime: a.now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
}

// recordOf is the record that names the end of a chain.
func (a *anchorage) recordOf(chain []*x509.Certificate) resolver.TLSA {
	last := chain[len(chain)-1]
	for _, t := range a.anchors {
		if t.cert.Equal(last) {
			return t.record
		}
	}
	panic("BUG: a chain ends at what nobody trusts")
}

// explain finds the result type for a chain that does not hold. Where several chains were tried, crypto/x509 tells what was wrong
// with the last.
func (a *anchorage) explain(err error) error {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		return &Error{resultOf(invalid.Reason), reasonOf(invalid.Reason)}
	}
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		return &Error{CertificateNotTrusted, "the chain cannot be verified"}
	}
	if !a.matched {
		return errNoMatch()
	}
	return &Error{CertificateNotTrusted, "a trust anchor matches, but no chain leads from it to the server's certificate"}
}

func errNoMatch() error {
	return &Error{TLSAInvalid, "no TLSA record matches what the server presented"}
}

// resultOf is the result type of RFC 8460 for what crypto/x509 has against a certificate.
func resultOf(r x509.InvalidReason) string {
	if r == x509.Expired {
		return CertificateExpired
	}
	return CertificateNotTrusted
}

// reasonOf says it in words. Those of crypto/x509 quote the certificate, which the peer wrote.
func reasonOf(r x509.InvalidReason) string {
	switch r {
	case x509.Expired:
		return "a certificate of the chain is expired or not yet valid"
	case x509.NotAuthorizedToSign:
		return "a certificate of the chain is signed by one that is no CA's"
	case x509.IncompatibleUsage:
		return "the server's certificate is not for TLS servers"
	case x509.CANotAuthorizedForThisName:
		return "a CA of the chain may not certify that name"
	case x509.TooManyIntermediates:
		return "the chain is longer than a CA in it allows"
	}
	return "a certificate of the chain is invalid"
}
