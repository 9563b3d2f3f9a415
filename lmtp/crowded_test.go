package lmtp

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

func TestConnectionsBeyondTheLimitWait(t *testing.T) {
	synctest.Test(t, testConnectionsBeyondTheLimitWait)
}

func testConnectionsBeyondTheLimitWait(t *testing.T) {
	f, connect := simulated(t, Config{Connections: 2})
	one, two := connect().hello(), connect().hello()
	greeted := make(chan *host)
	go func() { greeted <- connect().hello() }()
	synctest.Wait()
	assert.Equal(t, 2, f.server.Stats().Connections, "a third host MTA waits to be accepted")
	assert.EqualValues(t, 1, f.server.Stats().Crowded, "which is counted")
	one.send("QUIT")
	one.expect("221")
	three := <-greeted
	two.send("NOOP")
	two.expect("250")
	three.send("NOOP")
	three.expect("250")
}
