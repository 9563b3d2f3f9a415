package dane

import (
	"crypto/x509"
	"strings"
)

// hasName says that the leaf of a verified chain has one of the names (RFC 7672 section 3.2.3). A wildcard stands for one whole
// label, the leftmost.
func hasName(chain []*x509.Certificate, names []string) bool {
	leaf := chain[0]
	if len(leaf.DNSNames) == 0 {
		leaf = withCommonName(chain)
	}
	for _, name := range names {
		if leaf.VerifyHostname(strings.TrimSuffix(name, ".")) == nil {
			return true
		}
	}
	return false
}

// withCommonName is a certificate that has the leaf's common name as its only DNS name. RFC 6125 section 6.4.4: "if and only if
// the presented identifiers do not include a DNS-ID ... then the client MAY as a last resort check for a string whose form
// matches that of a fully qualified DNS domain name in a Common Name field".
func withCommonName(chain []*x509.Certificate) *x509.Certificate {
	for _, ca := range chain[1:] {
		if constrained(ca) {
			return &x509.Certificate{}
		}
	}
	return &x509.Certificate{DNSNames: []string{chain[0].Subject.CommonName}}
}

// constrained says that a CA may certify some names only. crypto/x509 has compared those in the subjectAltName and no common
// name.
func constrained(ca *x509.Certificate) bool {
	return len(ca.PermittedDNSDomains)+len(ca.ExcludedDNSDomains)+len(ca.PermittedIPRanges)+len(ca.ExcludedIPRanges)+
		len(ca.PermittedEmailAddresses)+len(ca.ExcludedEmailAddresses)+len(ca.PermittedURIDomains)+len(ca.ExcludedURIDomains) > 0
}
