package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestGuardsAreComparedWithPlaintext(t *testing.T) {
	for rule, c := range map[string]struct{ name, with string }{
		"TLS":                       {encrypted.named("smtpfeed"), plaintext.named("smtpfeed")},
		"another list":              {encrypted.named("smtpfeed") + secondList, plaintext.named("smtpfeed") + secondList},
		"a name with a comma in it": {encrypted.named(tunedName) + secondList, plaintext.named(tunedName) + secondList},
		"plaintext is itself":       {plaintext.named("raw client"), plaintext.named("raw client")},
	} {
		assert.Equal(t, c.with, counterpart(c.name), rule)
	}
	assert.Equal(t, plaintext.named("x"), counterpart(classical.named("x")), "every TLS is compared with plaintext")
	for _, g := range []guard{withDANE, withSTS} {
		assert.Equal(t, encrypted.named("x")+secondList, counterpart(g.named("x")+secondList), "what is beyond TLS with TLS: %s", g)
	}
	assert.Equal(t, "smtpfeed", feeder{}.name(), "where it is not measured, nothing is said of it")
}

func TestGuardsSayWhatTheyAre(t *testing.T) {
	for g, want := range map[guard]string{
		asShipped: "",
		plaintext: "mode = \"off\"\ndane = false\nmta_sts = false\npost_quantum = true\n",
		encrypted: "mode = \"opportunistic\"\ndane = false\nmta_sts = false\npost_quantum = true\n",
		classical: "mode = \"opportunistic\"\ndane = false\nmta_sts = false\npost_quantum = false\n",
		withDANE:  "mode = \"opportunistic\"\ndane = true\nmta_sts = false\npost_quantum = true\n",
		withSTS:   "mode = \"opportunistic\"\ndane = false\nmta_sts = true\npost_quantum = true\n",
	} {
		assert.Equal(t, "[tls]\npolicies = \"/d/mta-sts.json\"\n"+want, g.config("/d"), "smtpfeed's configuration: %s", g)
	}
	assert.Contains(t, plaintext.settings(), "smtp_tls_security_level = none", "Postfix has TLS switched off")
	assert.Empty(t, encrypted.settings(), "and is else as Debian ships it, with TLS")
}

func TestARunThatWasNotProtectedAsAskedDoesNotCount(t *testing.T) {
	for rule, c := range map[string]struct {
		guard guard
		f     figures
		wrong string
	}{
		"all in TLS":                       {encrypted, figures{Transactions: 10, Handshakes: 3}, ""},
		"one in plaintext":                 {encrypted, figures{Transactions: 10, Handshakes: 3, Clear: 1}, "1 of 10 transactions were in plaintext"},
		"a handshake that failed":          {encrypted, figures{Transactions: 10, Handshakes: 3, Unshaken: 2}, "2 handshakes failed"},
		"all in plaintext":                 {plaintext, figures{Transactions: 10, Clear: 10}, ""},
		"one in TLS":                       {plaintext, figures{Transactions: 10, Clear: 9}, "1 of 10 transactions were encrypted"},
		"what is not measured is not seen": {asShipped, figures{Transactions: 10, Clear: 5}, ""},
	} {
		t.Run(rule, func(t *testing.T) {
			err := c.guard.kept(c.f)
			if c.wrong == "" {
				assert.NoError(t, err, "the run counts")
				return
			}
			assert.ErrorContains(t, err, c.wrong, "the error says how many")
		})
	}
	for _, c := range []candidate{raw{guard: encrypted}, feeder{guard: encrypted}, postfix{guard: encrypted}} {
		assert.Equal(t, encrypted, guardOf(c), "every candidate has a guard")
	}
}
