package hosts

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQueueFileOfSendmail(t *testing.T) {
	const reason = "Deferred: 450 4.2.0 mx1.hosts.example[192.0.2.1]:25 said: 450 4.2.0 greylisted"
	for _, row := range []struct {
		name, text string
		want       []Queued
	}{
		{"a file that is being made is empty", "", nil},
		{"a message's reason is that of all its recipients",
			"V8\nT1795326168\nK1795326170\nN1\nP45000030\nM" + reason + "\nFbs\n$_localhost [127.0.0.1]\nS<a@sender.test>\n" +
				"rRFC822; one@d1.example\nRPFD:<one@d1.example>\nrRFC822; two@d2.example\nRPFD:<two@d2.example>\n" +
				"H?P?Return-Path: <\x81g>\nH??Received: from x\n\tby host\nH??Subject: R: x\n.\n",
			[]Queued{{Address: "one@d1.example", Reason: reason}, {Address: "two@d2.example", Reason: reason}}},
		{"a colon in a local part is no end of flags", "V8\nRPFD:<\"a:b\"@d1.example>\n", []Queued{{Address: `"a:b"@d1.example`}}},
		{"what follows a folded line is no recipient", "V8\nH??X: y\n\tRPFD:<no@d1.example>\n.\n", nil},
	} {
		t.Run(row.name, func(t *testing.T) { assert.Equal(t, row.want, parseQueueFile(row.text), "recipients") })
	}
}

func TestLinesOfSendmailMC(t *testing.T) {
	const mc = "one\nDOMAIN(x)dnl\nMAILER_DEFINITIONS\n"
	before, err := insert(mc, []string{"a", "b"}, "MAILER_DEFINITIONS")
	require.NoError(t, err, "the place is found")
	assert.Equal(t, "one\nDOMAIN(x)dnl\na\nb\nMAILER_DEFINITIONS\n", before, "lines go before it")
	behind, err := insert(mc, []string{"a"}, "+DOMAIN(")
	require.NoError(t, err, "the place is found")
	assert.Equal(t, "one\nDOMAIN(x)dnl\na\nMAILER_DEFINITIONS\n", behind, "or behind it")
	_, err = insert(mc, nil, "MAILER(")
	assert.Error(t, err, "a place that does not exist is an error: Debian's file is another one")
}
