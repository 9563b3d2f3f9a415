// Package dane judges a mail exchanger's certificates by its TLSA records: RFC 6698 and RFC 7671, as RFC 7672 narrows them for
// SMTP.
//
// The records come from the resolver, which has them over DNSSEC or not at all; the certificates come from the TLS handshake,
// which has already proved that the server has the leaf's key. Usable says whether the records bind the server to anything; where
// none is usable, TLS is still mandatory, with any certificate (RFC 7672 section 2.2). Verify says whether the server is the one
// they name.
//
// # What matches
//
//	usage 3, DANE-EE   the leaf is the certificate or has the key. Its names, dates and signatures do not count (RFC 7671 section 5.1)
//	usage 2, DANE-TA   a certificate of the chain, or one or a key that stands in the record itself, is the only trust anchor.
//	                   The chain must hold from it to the leaf, at the present time, and the leaf must have one of the names
//	usages 0 and 1     unusable: mail has no set of public CAs that both sides trust (RFC 7672 section 3.1.3)
//
// Of equal usage and selector only the strongest digest counts (RFC 7671 section 9). The full form always counts.
//
// # Decisions
//
// A leaf without any DNS name in its subjectAltName may have the name as its common name: RFC 7672 keeps the CN-ID of RFC 6125
// for old certificates. It does not count below a CA that is constrained to some names, since crypto/x509 would not constrain it.
//
// The leaf may itself be the trust anchor of a usage 2 record: whoever published it meant this key. It must then still be in time
// and have a name. OpenSSL, and so Postfix, refuses that; a server that relies on it is told from nowhere else that it is wrong,
// and its owner's intention is beyond doubt.
//
// Below a trust anchor the leaf must be fit for TLS servers (extended key usage), and no signature may be by MD5 or SHA-1.
//
// # Promises
//
// It does no I/O, has no state and no clock. No record and no chain makes it panic, whoever wrote them. Its work is bounded:
// chains, records, keys and signature checks each have a limit (limits.go). Errors hold no text of the peer's.
//
// # Bugs
//
// Raw public keys (RFC 7250) are not spoken by crypto/tls, and so not here.
package dane
