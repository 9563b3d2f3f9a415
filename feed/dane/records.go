package dane

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"

	"github.com/smtpfeed/smtpfeed/resolver"
)

// The fields of a TLSA record by the acronyms of RFC 7218.
const (
	usageTA = 2 // DANE-TA
	usageEE = 3 // DANE-EE

	selectorCert = 0
	selectorSPKI = 1

	matchingFull = 0
	matching256  = 1
	matching512  = 2
)

// A record is a usable TLSA record, with what stands in it in full.
type record struct {
	resolver.TLSA
	cert *x509.Certificate // of a full certificate, else nil
	key  any               // of a full public key, else nil
}

// Usable says that at least one record can match something. If none can, the records demand TLS, but of no particular
// certificate (RFC 7672 section 2.2).
func Usable(records []resolver.TLSA) bool {
	full := 0
	for _, r := range records[:min(len(records), maxRecords)] {
		if r.Matching == matchingFull {
			if full++; full > maxFull {
				continue
			}
		}
		if _, ok := read(r); ok {
			return true
		}
	}
	return false
}

// usable returns the records that count, in their order. Digests are compared in strength only after what is malformed was put
// aside: a bad SHA-512 record must not hide a good SHA-256 one.
func usable(records []resolver.TLSA) []record {
	var list []record
	var strongest [4][2]uint8 // by usage and selector
	full := 0
	for _, t := range records[:min(len(records), maxRecords)] {
		if t.Matching == matchingFull {
			if full++; full > maxFull { // those that are none cost as much
				continue
			}
		}
		r, ok := read(t)
		if !ok {
			continue
		}
		list = append(list, r)
		s := &strongest[r.Usage][r.Selector]
		*s = max(*s, r.Matching)
	}
	// RFC 7671 section 9: of the records with equal usage and selector only those with the strongest digest count, so that a
	// broken digest harms nobody who also publishes a good one. SHA-512 is taken for the stronger; the full form is no digest.
	kept := list[:0]
	for _, r := range list {
		if r.Matching == matchingFull || r.Matching == strongest[r.Usage][r.Selector] {
			kept = append(kept, r)
		}
	}
	return kept
}

// read finds out whether a record can match anything.
func read(t resolver.TLSA) (r record, ok bool) {
	r.TLSA = t
	// RFC 7672 section 3.1.3: "SMTP client treatment of TLSA RRs with certificate usages PKIX-TA(0) or PKIX-EE(1) is undefined";
	// like every client that is known, we take them for unusable.
	if t.Usage != usageTA && t.Usage != usageEE || t.Selector > selectorSPKI {
		return r, false
	}
	switch t.Matching {
	case matching256:
		return r, len(t.Data) == sha256.Size
	case matching512:
		return r, len(t.Data) == sha512.Size
	case matchingFull:
		return r, r.parse()
	}
	return r, false
}

// parse reads what stands in a record of the full form.
func (r *record) parse() bool {
	var err error
	if r.Selector == selectorSPKI {
		r.key, err = x509.ParsePKIXPublicKey([]byte(r.Data))
		return err == nil && bearable(r.key)
	}
	r.cert, err = x509.ParseCertificate([]byte(r.Data))
	return err == nil && bearable(r.cert.PublicKey)
}

// A presented certificate is one of the server's chain, with the forms of it that records are compared with, each made when first
// asked for.
type presented struct {
	*x509.Certificate
	forms [2][3]string // by selector and matching type
}

// matches says that the record is about this certificate.
func (p *presented) matches(r record) bool {
	form := &p.forms[r.Selector][r.Matching]
	if *form == "" {
		*form = formOf(p.Certificate, r.Selector, r.Matching)
	}
	return *form != "" && *form == r.Data
}

// formOf is the data of the record that matches a certificate (RFC 6698 section 2.1).
func formOf(c *x509.Certificate, selector, matching uint8) string {
	content := c.Raw
	if selector == selectorSPKI {
		content = c.RawSubjectPublicKeyInfo
	}
	switch matching {
	case matching256:
		sum := sha256.Sum256(content)
		return string(sum[:])
	case matching512:
		sum := sha512.Sum512(content)
		return string(sum[:])
	}
	return string(content)
}
