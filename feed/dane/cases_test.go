package dane

import (
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/smtpfeed/smtpfeed/resolver"
)

// A judgement is one row: what a server presents, what its zone says, and what comes of it. The rows are also put to OpenSSL.
type judgement struct {
	rule    string
	chain   []*entity
	records []resolver.TLSA
	match   int    // index of the record that is to match, if result is ""
	result  string // else the result type
	differs string // why OpenSSL is known to think otherwise
}

// forms has a row per selector and matching type for one usage.
func forms(rule string, chain []*entity, e *entity, usage uint8, result string) (rows []judgement) {
	for selector := range uint8(2) {
		for matching := range uint8(3) {
			name := fmt.Sprintf("%d %d %d: %s", usage, selector, matching, rule)
			rows = append(rows, judgement{rule: name, chain: chain, records: records(recordFor(e, usage, selector, matching)), result: result})
		}
	}
	return rows
}

// formRows go through all forms of records.
func formRows(w *world) (rows []judgement) {
	whole := sent(w.leaf, w.middle, w.root)
	rows = append(rows, forms("the leaf matches", whole, w.leaf, 3, "")...)
	rows = append(rows, forms("a leaf that nobody has signed matches", sent(w.self), w.self, 3, "")...)
	rows = append(rows, forms("another leaf does not match", sent(w.strangers, w.stranger), w.leaf, 3, TLSAInvalid)...)
	rows = append(rows, forms("a CA is not the leaf", whole, w.middle, 3, TLSAInvalid)...)
	rows = append(rows, forms("the root is the trust anchor", whole, w.root, 2, "")...)
	rows = append(rows, forms("an intermediate is the trust anchor", whole, w.middle, 2, "")...)
	rows = append(rows, forms("an intermediate is, and its issuer is not sent", sent(w.leaf, w.middle), w.middle, 2, "")...)
	rows = append(rows, forms("the certificates may come in any order", sent(w.leaf, w.root, w.middle), w.root, 2, "")...)
	rows = append(rows, forms("the anchor is another CA", sent(w.strangers, w.stranger), w.root, 2, TLSAInvalid)...)
	rows = append(rows, forms("the anchor's certificate alone does not help", sent(w.strangers, w.stranger, w.root), w.root, 2, CertificateNotTrusted)...)
	rows = append(rows, forms("an anchor by name and not by key", sent(w.forgeds, w.forged), w.middle, 2, TLSAInvalid)...)
	rows = append(rows, forms("the right CA is sent along with a leaf of its namesake's", sent(w.forgeds, w.middle), w.middle, 2, CertificateNotTrusted)...)
	return rows
}

// absentRows have the trust anchor in the record only (RFC 7671 sections 5.2.1 and 5.2.2).
func absentRows(w *world) []judgement {
	short, bare := sent(w.leaf, w.middle), sent(w.leaf)
	return []judgement{
		{rule: "2 0 0: an absent root", chain: short, records: records(recordFor(w.root, 2, 0, 0))},
		{rule: "2 1 0: an absent root", chain: short, records: records(recordFor(w.root, 2, 1, 0))},
		{rule: "2 0 0: an absent intermediate", chain: bare, records: records(recordFor(w.middle, 2, 0, 0))},
		{rule: "2 1 0: an absent intermediate", chain: bare, records: records(recordFor(w.middle, 2, 1, 0))},
		{rule: "2 0 1: an absent root cannot be known by its digest", chain: short, records: records(recordFor(w.root, 2, 0, 1)), result: TLSAInvalid},
		{rule: "2 1 2: an absent root cannot be known by its digest", chain: short, records: records(recordFor(w.root, 2, 1, 2)), result: TLSAInvalid},
		{rule: "2 0 0: a gap between leaf and anchor", chain: bare, records: records(recordFor(w.root, 2, 0, 0)), result: TLSAInvalid},
		{rule: "2 1 0: a gap between leaf and anchor", chain: bare, records: records(recordFor(w.root, 2, 1, 0)), result: TLSAInvalid},
		{rule: "2 1 0: an absent key that signed nothing here", chain: short, records: records(recordFor(w.stranger, 2, 1, 0)), result: TLSAInvalid},
	}
}

// agilityRows are about RFC 7671 section 9, and about several records in general.
func agilityRows(w *world) []judgement {
	whole := sent(w.leaf, w.middle, w.root)
	wrong := func(usage, selector, matching uint8) resolver.TLSA {
		return recordFor(w.strangers, usage, selector, matching)
	}
	short := resolver.TLSA{Usage: 3, Selector: 1, Matching: 2, Data: "short"}
	return []judgement{
		{rule: "one of several matches", chain: whole, records: records(wrong(3, 1, 1), recordFor(w.leaf, 3, 1, 1)), match: 1},
		{rule: "a weaker digest does not count beside a stronger one", chain: whole,
			records: records(recordFor(w.leaf, 3, 1, 1), wrong(3, 1, 2)), result: TLSAInvalid},
		{rule: "the stronger digest counts", chain: whole, records: records(wrong(3, 1, 1), recordFor(w.leaf, 3, 1, 2)), match: 1},
		{rule: "the full form counts beside a digest", chain: whole, records: records(recordFor(w.leaf, 3, 1, 0), wrong(3, 1, 2))},
		{rule: "a digest counts beside the full form", chain: whole, records: records(wrong(3, 1, 0), recordFor(w.leaf, 3, 1, 1)), match: 1},
		{rule: "selectors are judged apart", chain: whole, records: records(recordFor(w.leaf, 3, 0, 1), wrong(3, 1, 2))},
		{rule: "usages are judged apart", chain: whole, records: records(recordFor(w.leaf, 3, 1, 1), wrong(2, 1, 2))},
		{rule: "a malformed stronger digest hides nothing", chain: whole, records: records(short, recordFor(w.leaf, 3, 1, 1)), match: 1},
		{rule: "the leaf is preferred to an anchor", chain: whole, records: records(recordFor(w.root, 2, 0, 1), recordFor(w.leaf, 3, 1, 1)), match: 1},
		{rule: "an anchor where the leaf does not match", chain: whole, records: records(wrong(3, 1, 1), recordFor(w.middle, 2, 0, 1)), match: 1},
		{rule: "the anchor that holds, of two", chain: whole, records: records(recordFor(w.stranger, 2, 0, 1), recordFor(w.root, 2, 0, 1)), match: 1},
	}
}

// pathRows are about what the chain to a trust anchor must be like, and what is all the same to usage 3.
func pathRows(t testing.TB, w *world) (rows []judgement) {
	below := func(rule, result string, leaf *entity, rest ...*entity) {
		chain := append(sent(leaf), rest...)
		rows = append(rows,
			judgement{rule: "2 0 1: " + rule, chain: chain, records: records(recordFor(w.root, 2, 0, 1)), result: result},
			judgement{rule: "2 1 1: " + rule, chain: chain, records: records(recordFor(w.root, 2, 1, 1)), result: result},
			judgement{rule: "3 1 1: it does not matter: " + rule, chain: chain, records: records(recordFor(leaf, 3, 1, 1))})
	}
	server := func(by *entity, changes ...change) *entity { return issue(t, by, host, ecdsaKey(t), changes...) }
	ca := func(by *entity, changes ...change) *entity { return issue(t, by, "CA other", ecdsaKey(t), changes...) }
	below("a leaf expired", CertificateExpired, server(w.root, lapsed), w.root)
	below("a leaf not yet valid", CertificateExpired, server(w.root, future), w.root)
	old := ca(w.root, lapsed)
	below("an intermediate expired", CertificateExpired, server(old), old, w.root)
	ancient := ca(w.root, expired)
	below("an intermediate expired before the leaf was made", CertificateExpired, server(ancient), ancient, w.root)
	below("another name", CertificateHost, server(w.root, named("mx.example.net")), w.root)
	below("one name of many", "", server(w.root, named("a.example", "MX.example.ORG")), w.root)
	below("a wildcard for the leftmost label", "", server(w.root, named("*.example.org")), w.root)
	below("a wildcard for two labels", CertificateHost, server(w.root, named("*.org")), w.root)
	below("a wildcard that is not leftmost", CertificateHost, server(w.root, named("mx.*.org")), w.root)
	below("a common name and no other", "", server(w.root, named()), w.root)
	below("a common name beside another name", CertificateHost, server(w.root, named("a.example")), w.root)
	nobody := issue(t, w.root, "no CA at all", ecdsaKey(t))
	below("an intermediate that is no CA", CertificateNotTrusted, server(nobody), nobody, w.root)
	narrow := ca(w.root, func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"example.com"}, true
	})
	below("a CA for other names", CertificateNotTrusted, server(narrow), narrow, w.root)
	below("a CA for other names and a common name", CertificateHost, server(narrow, named()), narrow, w.root)
	last := ca(w.root, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	below("a chain longer than its CA allows", CertificateNotTrusted, server(ca(last)), last, w.root)
	client := server(w.root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	below("a leaf for TLS clients", CertificateNotTrusted, client, w.root)
	return append(rows,
		judgement{rule: "2 1 0: an absent root that signed one that is no CA", chain: sent(server(nobody), nobody),
			records: records(recordFor(w.root, 2, 1, 0)), result: TLSAInvalid},
		judgement{rule: "2 1 0: an absent root that signed a CA for other names", chain: sent(server(narrow), narrow),
			records: records(recordFor(w.root, 2, 1, 0)), result: CertificateNotTrusted},
		judgement{rule: "2 1 0: an absent root and an intermediate expired", chain: sent(server(old), old),
			records: records(recordFor(w.root, 2, 1, 0)), result: CertificateExpired})
}

// leafRows have the leaf itself as the trust anchor.
func leafRows(t testing.TB, w *world) []judgement {
	why := "OpenSSL compares DANE-TA with issuers only"
	late, alien := issue(t, nil, host, ecdsaKey(t), lapsed), issue(t, nil, "mx.example.net", ecdsaKey(t))
	return []judgement{
		{rule: "2 1 1: the leaf is its own anchor", chain: sent(w.self), records: records(recordFor(w.self, 2, 1, 1)), differs: why},
		{rule: "2 0 2: a leaf with an issuer is the anchor", chain: sent(w.leaf), records: records(recordFor(w.leaf, 2, 0, 2)), differs: why},
		{rule: "2 0 0: the leaf is its own anchor", chain: sent(w.self), records: records(recordFor(w.self, 2, 0, 0)), differs: why},
		{rule: "2 1 1: a leaf as anchor must be in time", chain: sent(late), records: records(recordFor(late, 2, 1, 1)), result: CertificateExpired},
		{rule: "2 1 1: a leaf as anchor must have the name", chain: sent(alien), records: records(recordFor(alien, 2, 1, 1)), result: CertificateHost},
	}
}

// allRows are all of them, for one kind of key.
func allRows(t testing.TB, w *world) (rows []judgement) {
	rows = append(formRows(w), absentRows(w)...)
	rows = append(rows, agilityRows(w)...)
	rows = append(rows, pathRows(t, w)...)
	return append(rows, leafRows(t, w)...)
}
