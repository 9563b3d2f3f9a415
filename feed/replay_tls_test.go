package feed

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/smtpfeed/smtpfeed/resolver/sts"
)

// The words of scripts about TLS: what a receiver publishes, what a message asks for, what a host offers, and how it fails.

// parseTLSConfig reads "tls=opportunistic", "destination=one.test,verified,mx.test" and "observed"; it is false for another key.
func parseTLSConfig(c *Config, key, value string) bool {
	modes := map[string]TLSMode{"off": TLSOff, "opportunistic": TLSOpportunistic, "required": TLSRequired, "verified": TLSVerified}
	switch key {
	case "tls":
		c.TLS.Mode = modes[value]
	case "destination":
		w := strings.Split(value, ",")
		c.TLS.Destinations = append(c.TLS.Destinations, Destination{Domain: w[0], Mode: modes[w[1]], Names: w[2:]})
	case "observed":
		c.Observer = &observations{}
	default:
		return false
	}
	return true
}

// parseParam reads what MAIL said, and the header of RFC 8689.
func parseParam(p *Params, word string) {
	switch word {
	case "requiretls":
		p.RequireTLS = true
	case "tlsoptional":
		p.TLSOptional = true
	case "8bitmime":
		p.EightBitMIME = true
	case "smtputf8":
		p.SMTPUTF8 = true
	}
}

// parseSecurity reads what is known of a route beside its exchangers: "sts=enforce/mx1.test" of all, and of the exchanger before it "secure",
// tlsa="3 1 1 0123" or tlsa=error.
func parseSecurity(t *testing.T, rt *resolver.Route, key, value string) {
	switch key {
	case "sts":
		w := strings.Split(value, "/")
		mode := map[string]sts.Mode{"enforce": sts.Enforce, "testing": sts.Testing, "none": sts.None}[w[0]]
		rt.STS = &sts.Policy{Domain: rt.Domain, Mode: mode, MX: w[1:]}
	case "stserror":
		rt.STSError = &sts.Error{Result: value, Reason: "scripted"}
	case "secure":
		rt.MX[len(rt.MX)-1].Secure = true
	case "tlsa":
		mx := &rt.MX[len(rt.MX)-1]
		mx.Secure, mx.DANE = true, &resolver.DANE{Base: mx.Name, Names: []string{mx.Name, rt.Domain}}
		if value == "error" {
			mx.DANE.Err = &resolver.Error{Domain: rt.Domain, Question: "TLSA " + mx.Name, Reason: "scripted"}
			return
		}
		for _, text := range commas(value) {
			mx.DANE.Records = append(mx.DANE.Records, parseTLSA(t, text))
		}
	}
}

// parseTLSA reads "3 1 1 01ab"; the octets are repeated until a digest is full.
func parseTLSA(t *testing.T, text string) (r resolver.TLSA) {
	var data string
	_, err := fmt.Sscan(text, &r.Usage, &r.Selector, &r.Matching, &data)
	require.NoError(t, err, text)
	octets, err := hex.DecodeString(data)
	require.NoError(t, err, text)
	r.Data = strings.Repeat(string(octets), 32/len(octets))
	return r
}

// parseOffer reads what an EHLO reply offers, and what protects the session.
func parseOffer(ev *opened, word string) {
	switch word {
	case "starttls":
		ev.caps.StartTLS = true
	case "requiretls":
		ev.caps.RequireTLS = true
	case "8bitmime":
		ev.caps.EightBitMIME = true
	case "smtputf8":
		ev.caps.SMTPUTF8 = true
	case "dsn":
		ev.caps.DSN = true
	case "tls":
		ev.tls.name = "TLSv1.3 TLS_AES_128_GCM_SHA256"
	case "verified":
		ev.tls.verified = true
	case "later":
		ev.tls.later = true
	case "complaint":
		ev.tls.complain = &tlsError{result: "certificate-host-mismatch", err: errors.New("scripted")}
	}
}

// parseTLSError reads "tls=validation-failure", with "hello" where it may be the form of our ClientHello and "breach" where plaintext must not be
// tried.
func parseTLSError(c *closing, key, value string) {
	switch key {
	case "tls":
		status := status475
		if value == "starttls-not-supported" {
			status = status474
		}
		c.tls = &tlsError{result: value, status: status, err: c.err}
		if c.tls.err == nil {
			c.tls.err = errors.New(value)
		}
	case "hello":
		c.tls.hello = true
	case "breach":
		c.tls.final, c.tls.status = true, wire.Enhanced{Class: 4, Subject: 7}
	}
}
