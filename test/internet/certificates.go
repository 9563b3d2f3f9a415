package internet

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A KeyKind is what hosts have certificates for.
type KeyKind string

const (
	NoTLS KeyKind = ""      // hosts do not offer STARTTLS
	ECDSA KeyKind = "ecdsa" // P-256
	RSA   KeyKind = "rsa"   // 2048 bits
)

// An authority is the world's public key infrastructure: a root, what it signed, and a certificate for each host. All hosts have one key,
// as those of a large provider do: 10,000 keys would take seconds.
type authority struct {
	root, between *x509.Certificate
	signer        crypto.Signer // between's
	key           crypto.Signer // the hosts'
	hosts         []tls.Certificate
}

// newAuthority makes all certificates. That hosts have them before somebody comes keeps their making out of what is measured.
func newAuthority(kind KeyKind, hosts int) (*authority, error) {
	if kind == NoTLS {
		return nil, nil
	}
	a := &authority{hosts: make([]tls.Certificate, hosts)}
	if err := a.chain(); err != nil {
		return nil, err
	}
	var err error
	if a.key, err = newKey(kind); err != nil {
		return nil, err
	}
	return a, a.issueAll()
}

func newKey(kind KeyKind) (crypto.Signer, error) {
	switch kind {
	case ECDSA:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RSA:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, fmt.Errorf("internet: no certificates of kind %q", kind)
}

// chain makes the root and the authority below it that signs for hosts, as the web's authorities do. Their keys are ECDSA whatever
// the hosts' are: with RSA each host's certificate would take milliseconds.
func (a *authority) chain() error {
	key, err := newKey(ECDSA)
	if err != nil {
		return err
	}
	if a.signer, err = newKey(ECDSA); err != nil {
		return err
	}
	root := certificate(1, "Test Root")
	root.IsCA, root.KeyUsage = true, x509.KeyUsageCertSign
	if a.root, err = sign(root, root, key.Public(), key); err != nil {
		return err
	}
	between := certificate(2, "Test Authority")
	between.IsCA, between.KeyUsage = true, x509.KeyUsageCertSign
	a.between, err = sign(between, a.root, a.signer.Public(), key)
	return err
}

// issueAll makes the hosts' certificates on all processors.
func (a *authority) issueAll() error {
	var all sync.WaitGroup
	var next atomic.Int64
	errs := make(chan error, runtime.NumCPU()) // from each worker, at most one
	for range runtime.NumCPU() {
		all.Go(func() {
			for j := next.Add(1) - 1; int(j) < len(a.hosts); j = next.Add(1) - 1 {
				if err := a.issue(int(j)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

func (a *authority) issue(j int) error {
	t := certificate(int64(j)+3, HostName(j))
	t.DNSNames = []string{HostName(j)}
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, t, a.between, a.key.Public(), a.signer)
	a.hosts[j] = tls.Certificate{Certificate: [][]byte{der, a.between.Raw}, PrivateKey: a.key}
	return err
}

func certificate(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
	}
}

func sign(t, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// association is the data of a TLSA record 3 1 1: SHA-256 of the public key (RFC 6698 section 2.1). All hosts have the same one.
func (a *authority) association() ([32]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(a.key.Public())
	return sha256.Sum256(spki), err
}

// PEM is the root's certificate as a file of trusted roots has it; nil in a world without TLS.
func (a *authority) PEM() []byte {
	if a == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})
}
