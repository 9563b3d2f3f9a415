package mxsim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// An Authority issues certificates for tests: NewAuthority makes a root, Sub one below it. It may be used by many goroutines.
type Authority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	above       *Authority // who signed it; nil for a root
}

// An Order says what a certificate is to be. Its zero fields are those of one in order.
type Order struct {
	Names      []string // DNS names and addresses, as text, of the subject alternative name
	CommonName string   // "" is the first of Names; a certificate of no Names has only this
	Validity   Validity
	OmitRoot   bool // the chain ends below the root, as is usual; DANE-TA needs the root in it (RFC 7672 section 3.1.2)
	Padding    int  // octets of an extension that nobody knows, for certificates too big
}

// A Validity is when a certificate is valid, both in the bubbles of testing/synctest, where it is the year 2000, and by the
// machine's clock.
type Validity int

const (
	Valid       Validity = iota // from 1990 to 2090
	Expired                     // until 1999
	NotYetValid                 // from 2089 on
)

func (v Validity) times() (from, until time.Time) {
	year := func(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
	return [...]time.Time{year(1990), year(1990), year(2089)}[v], [...]time.Time{year(2090), year(1999), year(2090)}[v]
}

// An Identity is a certificate with its chain and its key.
type Identity struct {
	TLS   tls.Certificate     // the chain, leaf first
	Leaf  *x509.Certificate   // TLS.Certificate[0]
	Chain []*x509.Certificate // what signed it, as sent behind the leaf; empty for a self-signed one
}

// NewAuthority makes a root with a new key.
func NewAuthority(name string) *Authority { return newAuthority(name, nil) }

// Sub makes an authority that a signed.
func (a *Authority) Sub(name string) *Authority { return newAuthority(name, a) }

func newAuthority(name string, above *Authority) *Authority {
	t := template(Order{CommonName: name})
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	t.ExtKeyUsage = nil
	a := &Authority{key: newKey(), above: above}
	a.Certificate = above.sign(t, a.key)
	return a
}

// Issue makes a certificate in order for these names, with a new key.
func (a *Authority) Issue(names ...string) *Identity { return a.IssueOrder(Order{Names: names}) }

// IssueOrder makes the certificate that o describes, with a new key.
func (a *Authority) IssueOrder(o Order) *Identity {
	key := newKey()
	i := &Identity{Leaf: a.sign(template(o), key)}
	i.TLS = tls.Certificate{Certificate: [][]byte{i.Leaf.Raw}, PrivateKey: key, Leaf: i.Leaf}
	for ; a != nil && !(o.OmitRoot && a.above == nil); a = a.above {
		i.Chain = append(i.Chain, a.Certificate)
		i.TLS.Certificate = append(i.TLS.Certificate, a.Certificate.Raw)
	}
	return i
}

// SelfSigned makes a certificate that nobody but itself signed, as mail servers make it at installation.
func SelfSigned(o Order) *Identity { return (*Authority)(nil).IssueOrder(o) }

// Pool is what a client that trusts a has as its roots.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Certificate)
	return p
}

// PEM is the authority's certificate as a file of trusted roots has it.
func (a *Authority) PEM() []byte { return certificatePEM(a.Certificate.Raw) }

// Config is what a server with this identity needs, to be changed at will.
func (i *Identity) Config() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{i.TLS}} }

// PEM are the files that a server reads: its certificate with the chain behind it, and its key (PKCS #8).
func (i *Identity) PEM() (chain, key []byte) {
	for _, der := range i.TLS.Certificate {
		chain = append(chain, certificatePEM(der)...)
	}
	return chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(i.TLS.PrivateKey))})
}

// TLSA is the certificate association data of a record that fits this identity (RFC 6698 section 2.1): usages 1 and 3 are about
// the leaf, 0 and 2 about the last certificate of the chain, which is the root unless Order.OmitRoot left it out.
func (i *Identity) TLSA(usage, selector, matching uint8) []byte {
	c := i.Leaf
	if usage%2 == 0 && len(i.Chain) > 0 {
		c = i.Chain[len(i.Chain)-1]
	}
	return Association(c, selector, matching)
}

// TLSARecord is the record as a zone file has it: "3 1 1 0123abcd...".
func (i *Identity) TLSARecord(usage, selector, matching uint8) string {
	return fmt.Sprintf("%d %d %d %x", usage, selector, matching, i.TLSA(usage, selector, matching))
}

// Association is what a TLSA record says of a certificate: selector 0 is all of it, 1 its public key; matching 0 is the octets
// themselves, 1 their SHA-256, 2 their SHA-512 (RFC 6698 section 2.1).
func Association(c *x509.Certificate, selector, matching uint8) []byte {
	data := c.Raw
	if selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(data)
		return sum[:]
	case 2:
		sum := sha512.Sum512(data)
		return sum[:]
	}
	return data
}

// template is what x509.CreateCertificate is told. Serial numbers are random: a client may remember certificates by them.
func template(o Order) *x509.Certificate {
	from, until := o.Validity.times()
	t := &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))), NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range o.Names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
			continue
		}
		t.DNSNames = append(t.DNSNames, name)
	}
	t.Subject = pkix.Name{CommonName: o.CommonName}
	if o.CommonName == "" && len(o.Names) > 0 {
		t.Subject.CommonName = o.Names[0]
	}
	if o.Padding > 0 {
		// An arc for examples (RFC 5612), not critical: a client that does not know it must go on.
		t.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1}, Value: make([]byte, o.Padding)}}
	}
	return t
}

// sign makes a certificate of the key; a nil authority has the key sign for itself.
func (a *Authority) sign(t *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	parent, signer := t, key
	if a != nil {
		parent, signer = a.Certificate, a.key
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer))))
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// must is for what fails only when a test asks for nonsense.
func must[T any](v T, err error) T {
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return v
}
