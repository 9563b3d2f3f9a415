package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOnlyTheTunedPostfixIsTuned(t *testing.T) {
	plain := (&master{dir: "/d"}).mainCF("2525")
	tuned := (&master{postfix: postfix{tuned: true}, dir: "/d"}).mainCF("2525")
	for _, line := range tuning() {
		assert.NotContains(t, plain, line, "Debian ships without it")
		assert.Contains(t, tuned, line+"\n", "the tuned one has it")
	}
	assert.Contains(t, tuned, "default_process_limit = 1000\n", "and more processes")
	personal := (&master{postfix: postfix{tuned: true}, s: shape{callers: 200}, dir: "/d"}).mainCF("2525")
	assert.Contains(t, personal, "default_process_limit = 200\n", "or as many as smtpfeed has messages in flight")
	assert.NotContains(t, plain, "default_process_limit", "than by default")
	assert.Contains(t, plain, "smtp_tcp_port = 2525\n", "both go to the world")
}
