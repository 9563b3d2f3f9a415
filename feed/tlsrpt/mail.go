package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

// base64Line is how many octets of base64 stand in a line (RFC 2045 section 6.8).
const base64Line = 76

// A letter is what a message is made of.
type letter struct {
	from, to, hostname, domain string
	id                         string // the Report-ID, without brackets
	attachment                 string // its file name
	day                        date
	now                        time.Time
	report                     []byte // JSON
}

// message composes the mail of RFC 8460 section 5.3. Every value in it was checked or made by us, so none has a line break.
func (l letter) message() ([]byte, error) {
	packed, err := pack(l.report)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(l.id + " " + l.to))
	// "_" is no octet of base64, and the text has no such line.
	boundary := fmt.Sprintf("=_tlsrpt_%x", digest[:12])
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	l.header(line, boundary, digest[:8])
	line("")
	line("--%s", boundary)
	l.text(line)
	line("--%s", boundary)
	line("Content-Type: application/tlsrpt+gzip")
	line("Content-Transfer-Encoding: base64")
	line("Content-Disposition: attachment;\r\n\tfilename=\"%s\"", l.attachment)
	line("")
	encoded := base64.StdEncoding.EncodeToString(packed)
	for len(encoded) > base64Line {
		line("%s", encoded[:base64Line])
		encoded = encoded[base64Line:]
	}
	line("%s", encoded)
	line("--%s--", boundary)
	return b.Bytes(), nil
}

// header writes the header. unique tells mails of one report to several addresses apart.
func (l letter) header(line func(string, ...any), boundary string, unique []byte) {
	line("From: %s", l.from)
	line("To: <%s>", l.to)
	line("Date: %s", l.now.UTC().Format(time.RFC1123Z))
	line("Message-ID: <%s.%x@%s>", idLeft(l.id), unique, l.hostname)
	// tlsrpt-subject: the names on lines of their own, as in the RFC's example.
	line("Subject: Report Domain: %s\r\n\tSubmitter: %s\r\n\tReport-ID: <%s>", l.domain, l.hostname, l.id)
	line("TLS-Report-Domain: %s", l.domain)
	line("TLS-Report-Submitter: %s", l.hostname)
	// RFC 8460 section 5.3: "Sending MTAs MUST NOT honor MTA-STS or DANE TLSA failures"; RFC 8689 section 5 is how they are told.
	line("TLS-Required: No")
	line("Auto-Submitted: auto-generated") // RFC 3834 section 5
	line("MIME-Version: 1.0")
	line("Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n\tboundary=\"%s\"", boundary)
}

// text writes the part for people.
func (l letter) text(line func(string, ...any)) {
	line("Content-Type: text/plain; charset=us-ascii")
	line("Content-Transfer-Encoding: 7bit")
	line("")
	line("This is an aggregate TLS report (RFC 8460) from")
	line("%s", l.hostname)
	line("about mail sessions on %s (UTC) with the hosts of", l.day)
	line("%s", l.domain)
	line("")
	line("The domain's DNS asks for it: see the TXT record at")
	line("%s%s", recordName, l.domain)
	line("")
}

// idLeft is what stands before the "@" of a Report-ID, which ends in our host name.
func idLeft(id string) string {
	for i := range len(id) {
		if id[i] == '@' {
			return id[:i]
		}
	}
	return id
}

// pack compresses. It writes no time and no name, so that the same report gives the same octets.
func pack(report []byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(report); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
