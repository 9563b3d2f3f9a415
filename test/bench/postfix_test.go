package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPostfixHasTheProcessesOfTheShape(t *testing.T) {
	for name, c := range map[string]struct {
		p    postfix
		s    shape
		want string
	}{
		"Debian's has the default":                             {postfix{}, shape{}, "default_process_limit = 100"},
		"also for personal mail":                               {postfix{}, shape{callers: 200}, "default_process_limit = 100"},
		"the tuned one has ten times as many":                  {postfix{tuned: true}, shape{}, "default_process_limit = 1000"},
		"or as many as smtpfeed has messages in flight":        {postfix{tuned: true}, shape{callers: 200}, "default_process_limit = 200"},
		"and mail of the work's sender is held, whoever it is": {postfix{}, shape{}, "smtpd_sender_restrictions = check_sender_access inline:{" + sender + "=HOLD}"},
	} {
		assert.True(t, slices.Contains(c.p.settings(c.s), c.want), name)
	}
}
