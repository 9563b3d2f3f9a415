package dane

import (
	"crypto/rsa"
	"crypto/x509"
)

// The owner of a zone and of a server may be hostile to those who send mail there, and sends to himself what costs most. These
// bounds are far above what exists, and keep the worst verification below a second of one CPU.
const (
	maxChain   = 10   // certificates of a chain that are looked at; the rest is as if it had not been sent. Real chains have 2 to 4
	maxRecords = 2048 // records that are looked at: more than fit into a DNS message
	maxFull    = 8    // usable records of the full form
	maxChecks  = 16   // signatures checked with keys that stand in records; crypto/x509 adds no more than 100
	maxRSA     = 8192 // bits of an RSA key, as in crypto/tls: a longer one takes too long to use
)

// bearable says that a signature can be checked with the key in bounded time. What crypto/x509 does not know is nil, and costs
// nothing.
func bearable(key any) bool {
	r, ok := key.(*rsa.PublicKey)
	return !ok || r.N != nil && r.N.BitLen() <= maxRSA
}

// shortened is the part of a chain that is looked at: its leaf, and behind it the certificates whose keys can be borne.
func shortened(chain []*x509.Certificate) []*x509.Certificate {
	kept := make([]*x509.Certificate, 0, min(len(chain), maxChain))
	for i, c := range chain {
		if len(kept) == maxChain {
			break
		}
		if c != nil && (i == 0 || bearable(c.PublicKey)) {
			kept = append(kept, c)
		}
	}
	return kept
}
