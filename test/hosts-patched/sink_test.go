package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/hostsim"
)

func TestSinkKeepsTransactions(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	s, err := listen(socket)
	require.NoError(t, err, "the sink listens")
	defer s.close()
	c, err := hostsim.Dial("unix", socket)
	require.NoError(t, err, "the sink greets")
	for _, to := range [][]string{{"a@x.test", "b@x.test"}, {"c@x.test"}} {
		r, err := c.Deliver(hostsim.Message{From: "l@x.test", To: to, Body: []byte("hello\r\n.dot\r\n")}, nil)
		require.NoError(t, err, "the sink takes a transaction")
		assert.Len(t, r.Final, len(to), "there is one final reply for each recipient")
	}
	assert.Equal(t, [][]string{{"<a@x.test>", "<b@x.test>"}, {"<c@x.test>"}}, s.seen(), "recipients are kept in their order")
	assert.Equal(t, 3, s.recipients(), "recipients are counted")
}

func TestOnce(t *testing.T) {
	want := []string{"a@x.test", "b@x.test"}
	assert.NoError(t, once([][]string{{"<B@x.test>"}, {"<a@x.test>"}}, want), "order and case do not matter")
	assert.ErrorContains(t, once([][]string{{"<a@x.test>"}}, want), "b@x.test arrived 0 times", "a lost recipient is seen")
	assert.ErrorContains(t, once([][]string{{"<a@x.test>", "<a@x.test>", "<b@x.test>"}}, want), "arrived 2 times", "a duplicate is seen")
	assert.ErrorContains(t, once([][]string{{"<a@x.test>", "<b@x.test>", "<c@x.test>"}}, want), "was not sent", "a stranger is seen")
}

func TestSubmitGroupsRecipients(t *testing.T) {
	assert.Len(t, addresses(120, 7), 120, "there are as many addresses as asked for")
	assert.Equal(t, "user8@d1.hosts.test", addresses(120, 7)[8], "domains go round")
}
