package mxsim

import (
	"slices"
	"strconv"
	"strings"
)

// An offer is what the EHLO keywords promise.
type offer struct {
	reply      string // to EHLO, without the last CRLF
	pipelining bool
	chunking   bool
	eightBit   bool
	utf8       bool
	dsn        bool
	requireTLS bool
	startTLS   bool
	auth       bool
	hasSize    bool
	size       int64 // 0 is no limit
}

// makeOffer is what a server offers in plaintext, or inside TLS.
func makeOffer(c Config, encrypted bool) offer {
	keywords := slices.Clone(c.Keywords)
	if encrypted && c.TLSKeywords != nil {
		keywords = slices.Clone(c.TLSKeywords)
	}
	offerToo := func(word string, yes bool) {
		if yes {
			keywords = append(keywords, word)
		}
	}
	offerToo("SMTPUTF8", c.SMTPUTF8)
	offerToo("DSN", c.DSN)
	offerToo("STARTTLS", c.TLS != nil && !c.Implicit && (!encrypted || c.TLSAgain))
	offerToo("REQUIRETLS", c.RequireTLS && encrypted) // RFC 8689 section 2: never before TLS
	offerToo("AUTH PLAIN LOGIN", c.Auth != nil && (encrypted || c.AuthInClear))
	o := offer{reply: ehloReply(c.Name, keywords)}
	for _, k := range keywords {
		o.promise(k)
	}
	return o
}

// promise takes in what a keyword means.
func (o *offer) promise(keyword string) {
	word, arg, _ := strings.Cut(keyword, " ")
	switch word {
	case "PIPELINING":
		o.pipelining = true
	case "CHUNKING":
		o.chunking = true
	case "8BITMIME":
		o.eightBit = true
	case "SMTPUTF8":
		o.utf8 = true
	case "DSN":
		o.dsn = true
	case "REQUIRETLS":
		o.requireTLS = true
	case "STARTTLS":
		o.startTLS = true
	case "AUTH":
		o.auth = true
	case "SIZE":
		o.hasSize = true
		o.size, _ = strconv.ParseInt(arg, 10, 64) // RFC 1870 section 4: without a number there is no known limit
	}
}

func ehloReply(name string, keywords []string) string {
	lines := append([]string{name}, keywords...)
	for i := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		lines[i] = "250" + sep + lines[i]
	}
	return strings.Join(lines, "\r\n")
}

// offer is what the session was offered, as it is now.
func (x *session) offer() *offer {
	if x.channel != nil {
		return &x.s.encrypted
	}
	return &x.s.clear
}
