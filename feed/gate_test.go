package feed

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHandshakesPassTheGateInTurn(t *testing.T) { synctest.Test(t, testHandshakesPassTheGateInTurn) }

func testHandshakesPassTheGateInTurn(t *testing.T) {
	g := make(gate, 1)
	computing, answered := make([]bool, 2), make([]bool, 2)
	ours, theirs := make([]net.Conn, 2), make([]net.Conn, 2)
	proceed := make(chan struct{}) // from the test to whichever handshake computes
	for i := range ours {
		ours[i], theirs[i] = net.Pipe()
		go func() { // ends with its handshake
			g.pass(ours[i], func(c net.Conn) error {
				computing[i] = true
				<-proceed
				c.Read(make([]byte, 1))
				answered[i] = true
				<-proceed
				return nil
			})
		}()
		synctest.Wait()
	}
	assert.Equal(t, []bool{true, false}, computing, "one computes, the other waits")
	proceed <- struct{}{}
	synctest.Wait()
	assert.Equal(t, []bool{true, true}, computing, "while the first one waits for its peer the second one computes")
	theirs[0].Write([]byte("x"))
	synctest.Wait()
	assert.Equal(t, []bool{false, false}, answered, "an answer waits until the gate is free")
	proceed <- struct{}{}
	synctest.Wait()
	assert.Equal(t, []bool{true, false}, answered, "which it is when the second one waits for its peer")
	proceed <- struct{}{}
	theirs[1].Write([]byte("x"))
	synctest.Wait()
	proceed <- struct{}{}
	synctest.Wait()
	assert.Empty(t, g, "in the end nobody is inside")
}

func TestAConnectionIsAsBeforeOnceItHasPassed(t *testing.T) {
	g := make(gate, 1)
	ours, theirs := net.Pipe()
	var passed net.Conn
	err := g.pass(ours, func(c net.Conn) error { passed = c; return errors.New("no") })
	require.EqualError(t, err, "no", "what the handshake says is told")
	g <- struct{}{} // somebody is inside
	go theirs.Write([]byte("x"))
	n, err := passed.Read(make([]byte, 1))
	require.NoError(t, err)
	assert.Equal(t, 1, n, "reading asks for no turn any more")
}
