package dane

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/smtpfeed/smtpfeed/resolver"
)

// FuzzVerify lets the zone and the server say anything: the first octets pick the form of the record, and der is parsed as a
// chain.
func FuzzVerify(f *testing.F) {
	w := newWorld(f, ecdsaKey)
	whole := append(append(append([]byte{}, w.leaf.cert.Raw...), w.middle.cert.Raw...), w.root.cert.Raw...)
	for _, r := range formRows(w) {
		t := r.records[0]
		f.Add(t.Usage, t.Selector, t.Matching, []byte(t.Data), whole, host)
	}
	f.Add(uint8(2), uint8(1), uint8(0), []byte(w.root.cert.RawSubjectPublicKeyInfo), []byte(w.self.cert.Raw), "*.example.org")
	f.Add(uint8(9), uint8(9), uint8(9), []byte{}, []byte{}, "")
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data, der []byte, name string) {
		chain, err := x509.ParseCertificates(der)
		if err != nil {
			chain = chainOf(w.leaf, w.middle, w.root)
		}
		fuzzed := resolver.TLSA{Usage: usage, Selector: selector, Matching: matching, Data: string(data)}
		list := records(fuzzed, recordFor(w.stranger, 2, 0, 0), fuzzed)
		judged(t, chain, list, name)
	})
}

// judged holds for whatever is given to Verify.
func judged(t *testing.T, chain []*x509.Certificate, list []resolver.TLSA, name string) {
	got, err := Verify(today, chain, list, []string{name})
	if err == nil {
		holds(t, chain, got, list)
		return
	}
	var e *Error
	if !errors.As(err, &e) || got != (resolver.TLSA{}) {
		t.Fatalf("a failure is an *Error and names no record: %v, %v", err, got)
	}
	for _, c := range []byte(e.Reason) {
		if c < ' ' || c > '~' {
			t.Fatalf("a reason is printable ASCII: %q", e.Reason)
		}
	}
}

// holds checks a success: the record was given, and it is about the leaf, or it is about a trust anchor of a leaf in time.
func holds(t *testing.T, chain []*x509.Certificate, got resolver.TLSA, list []resolver.TLSA) {
	given := false
	for _, r := range list {
		given = given || r == got
	}
	if !given || !Usable(records(got)) {
		t.Fatalf("the record that matched is a usable one that was given: %v", got)
	}
	leaf := chain[0]
	if got.Usage == usageEE && formOf(leaf, got.Selector, got.Matching) != got.Data {
		t.Fatalf("DANE-EE matches the leaf: %v", got)
	}
	if got.Usage == usageTA && (today.Before(leaf.NotBefore) || today.After(leaf.NotAfter)) {
		t.Fatalf("below DANE-TA a leaf is in time: %v to %v", leaf.NotBefore, leaf.NotAfter)
	}
}
