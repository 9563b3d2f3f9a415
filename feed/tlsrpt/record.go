package tlsrpt

import (
	"net/mail"
	"net/url"
	"strings"
)

const (
	recordName = "_smtp._tls." // before the domain (RFC 8460 section 3)
	maxRecord  = 4096          // octets of a record that is read
	maxRUA     = 5             // addresses of a record that get the report: a record must not make us send mail without end
	maxAddress = 254
	maxLocal   = 64
)

// A record is where a domain wants reports.
type record struct {
	mailto []string // addresses, at most maxRUA
	https  int      // addresses that are not served
}

// parseRecords reads the TXT records of _smtp._tls.DOMAIN. RFC 8460 section 3: "records that do not begin with "v=TLSRPTv1;" are
// discarded. If the number of resulting records is not one, senders MUST assume the recipient domain does not implement TLSRPT."
func parseRecords(texts []string) (rec record, ok bool) {
	n := 0
	var fields string
	for _, t := range texts {
		if f, is := afterVersion(t); is {
			fields = f
			n++
		}
	}
	if n != 1 || len(fields) > maxRecord {
		return record{}, false
	}
	return parseFields(fields)
}

// afterVersion is what follows the version and its delimiter: *WSP ";" *WSP.
func afterVersion(t string) (string, bool) {
	rest, is := strings.CutPrefix(t, "v=TLSRPTv1")
	if !is {
		return "", false
	}
	return strings.CutPrefix(strings.TrimLeft(rest, " \t"), ";")
}

// parseFields reads the rest of a record. "Parsers MUST accept TXT records that are syntactically valid [...] and implement a
// superset of this specification, in which case unknown fields SHALL be ignored."
func parseFields(s string) (rec record, ok bool) {
	fields := strings.Split(s, ";")
	for i, f := range fields {
		f = strings.Trim(f, " \t")
		if f == "" && i == len(fields)-1 {
			break // a delimiter may stand at the end
		}
		name, value, is := strings.Cut(f, "=")
		if !is || !isFieldName(name) {
			return record{}, false
		}
		if name == "rua" {
			rec.add(value)
		}
	}
	// "Note that the tlsrpt-rua record is required"; one that leads nowhere asks for nothing.
	return rec, len(rec.mailto) > 0 || rec.https > 0
}

// isFieldName is tlsrpt-ext-name: (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".").
func isFieldName(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && (i == 0 || c != '_' && c != '-' && c != '.') {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' }

// add takes the comma-separated addresses of one rua.
func (rec *record) add(value string) {
	for uri := range strings.SplitSeq(value, ",") {
		scheme, rest, _ := strings.Cut(strings.Trim(uri, " \t"), ":")
		switch strings.ToLower(scheme) { // RFC 3986 section 3.1
		case "https":
			rec.https++
		case "mailto":
			rec.addMailto(rest)
		}
	}
}

func (rec *record) addMailto(rest string) {
	address, ok := mailtoAddress(rest)
	for _, have := range rec.mailto {
		ok = ok && !strings.EqualFold(have, address)
	}
	if ok && len(rec.mailto) < maxRUA {
		rec.mailto = append(rec.mailto, address)
	}
}

// mailtoAddress is the address of a mailto: (RFC 6068), if it is one that needs no quoting anywhere. Its parameters, which
// would be header fields and a body, are dropped.
func mailtoAddress(s string) (string, bool) {
	s, _, _ = strings.Cut(s, "?")
	s, err := url.PathUnescape(s)
	if err != nil || len(s) > maxAddress {
		return "", false
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 || !isDotAtom(s[:at]) || !isDomain(strings.ToLower(s[at+1:])) {
		return "", false
	}
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s || parsed.Name != "" {
		return "", false
	}
	return s, true
}

// isDotAtom is whether s is a local part that needs no quotes (RFC 5322 section 3.2.3).
func isDotAtom(s string) bool {
	if s == "" || len(s) > maxLocal || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if !isAlnum(s[i]) && strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", s[i]) < 0 {
			return false
		}
	}
	return true
}
