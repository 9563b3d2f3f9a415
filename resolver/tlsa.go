package resolver

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/miekg/dns"
)

// Caps on a set of TLSA records. What is beyond the first is left out; what is longer than the second is kept as unusable.
const (
	maxTLSA     = 32
	maxTLSAData = 8192     // a certificate with a key of RFC 6698's time has 1 to 2 KiB
	maxTLSAAll  = 16 << 10 // octets of data of a set; records beyond are kept as unusable
)

// privateUse is the certificate usage of records that cannot be read (RFC 7218 section 2.1): no client can use it, and the record
// still says that the host has TLS.
const privateUse = 255

// takeTLSA adds a TLSA record, usable or not: RFC 7672 section 2.2 wants TLS even where all records are unusable.
func (f *facts) takeTLSA(rr *dns.TLSA) bool {
	r := f.makeRare()
	if len(r.tlsa) == maxTLSA {
		return true
	}
	record, all := newTLSA(rr), 0
	for _, t := range r.tlsa {
		all += len(t.Data)
	}
	if all+len(record.Data) > maxTLSAAll {
		record.Usage, record.Data = privateUse, ""
	}
	r.tlsa = append(r.tlsa, record)
	return true
}

// newTLSA reads a record of the codec, which gives the data in hexadecimal. The three fields before the data may be missing.
func newTLSA(rr *dns.TLSA) TLSA {
	data, err := hex.DecodeString(rr.Certificate)
	if err != nil || rr.Hdr.Rdlength < 3 || len(data) > maxTLSAData {
		return TLSA{Usage: privateUse, Selector: rr.Selector, Matching: rr.MatchingType}
	}
	return TLSA{Usage: rr.Usage, Selector: rr.Selector, Matching: rr.MatchingType, Data: string(data)}
}

// authenticate looks for the TLSA records of an exchanger that was named securely (RFC 7672 section 2.2.2). They are asked for
// together with the addresses, which saves a round trip. Many insecure zones stand on servers that cannot bear the question: its
// failure does not matter where the addresses turn out to be insecure, and it is not asked where they are known to be.
func (d *draft) authenticate(mx *MX, a, aaaa trail) {
	if len(mx.Addrs) == 0 {
		if a.unknown() || aaaa.unknown() {
			d.tlsa(mx, mx.Name)
		}
		return
	}
	end := a
	if !a.hasAddress() {
		end = aaaa
	}
	mx.Secure = (!a.hasAddress() || a.secure) && (!aaaa.hasAddress() || aaaa.secure)
	alias := end.name != mx.Name
	switch {
	case mx.Secure && alias:
		// The base domain is the expanded name if that has secure TLSA records, and the original one if not.
		if own := d.tlsa(mx, mx.Name); !d.authenticated(mx, end.name, d.tlsa(mx, end.name)) {
			d.authenticated(mx, mx.Name, own)
		}
	case mx.Secure:
		d.authenticated(mx, mx.Name, d.tlsa(mx, mx.Name))
	case alias:
		d.authenticateAlias(mx)
	}
}

// authenticateAlias is for an exchanger that is an alias and leads into an insecure zone. Its own zone may be secure, and then
// its own name is the only base domain. RFC 7672 section 2.2.2 has the CNAME asked for by its type to know that. Secure TLSA
// records below the name say as much, since trust comes down from the root through the name's zone; without any it does not
// matter. So it is asked only where the TLSA question failed.
func (d *draft) authenticateAlias(mx *MX) {
	own := d.tlsa(mx, mx.Name)
	if own.facts != nil && own.facts.status == failed {
		cname := d.chase(key{mx.Name, dns.TypeCNAME}, &d.ask)
		if cname.facts == nil || !cname.secure {
			return
		}
	}
	d.authenticated(mx, mx.Name, own)
}

// unknown says that a question was asked and has no answer yet.
func (t trail) unknown() bool { return t.facts == nil && t.name != "" }

func (t trail) hasAddress() bool { return t.facts != nil && len(t.facts.addrs) > 0 }

// tlsa chases the TLSA records of a base domain. A name that is too long for the prefix has none.
func (d *draft) tlsa(mx *MX, base string) trail {
	port := strconv.Itoa(int(cmp.Or(mx.Port, d.port)))
	k := key{"_" + port + "._tcp." + base, dns.TypeTLSA}
	if checkName(k.name) != "" {
		return trail{facts: &facts{status: noData}, name: k.name, expires: d.route.Expires}
	}
	return d.chase(k, &d.ask)
}

// authenticated gives an exchanger what is known of the TLSA records at a base domain, and says whether it is the one: there are
// secure records, or it cannot be known that there are none. RFC 7672 section 2.1.1 says of the latter, bogus answers and
// servers that fail, that the host must be treated as unreachable, to avoid downgrade attacks. Insecure answers count as none.
func (d *draft) authenticated(mx *MX, base string, t trail) bool {
	if t.facts == nil {
		return true // it is asked
	}
	d.until(t.expires)
	if !t.secure || t.facts.status != found && t.facts.status != failed {
		return false
	}
	mx.DANE = &DANE{Base: base, Names: d.references(mx, base)}
	if t.facts.status == failed {
		mx.DANE.Err = &Error{Kind: Temporary, Domain: d.route.Domain, Question: "TLSA " + t.name, Server: t.facts.server, Reason: t.facts.reason}
		return true
	}
	mx.DANE.Records = t.facts.rare.tlsa
	return true
}

// references are the names that a certificate may bear which DANE-TA(2) records authenticate. RFC 7672 section 3.2.2: the TLSA
// base domain; where a secure MX led there, the next-hop domain and, if it is another, its CNAME expansion too. The unexpanded
// name of an exchanger is none of them.
func (d *draft) references(mx *MX, base string) []string {
	names := []string{base}
	if mx.Configured || d.route.Implicit {
		return names
	}
	for _, name := range []string{d.route.Domain, d.from.name} {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
