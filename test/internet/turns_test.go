package internet

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

func TestHandshakesTakeTurns(t *testing.T) { synctest.Test(t, testHandshakesTakeTurns) }

func testHandshakesTakeTurns(t *testing.T) {
	hello := []byte{recordHandshake, 3, 1}
	of := make(turns, 2)
	each := make([]turn, 4)
	begun := make([]bool, len(each))
	for i := range each {
		each[i].of = of
		go func() { // ends when its turn has come
			each[i].came([]byte("STARTTLS\r\n"))
			each[i].came(hello)
			each[i].came(hello)
			begun[i] = true
		}()
		synctest.Wait()
	}
	assert.Equal(t, []bool{true, true, false, false}, begun, "commands need no turn, a handshake has one, and the next ones wait")
	each[0].end()
	each[0].end()
	synctest.Wait()
	assert.Equal(t, []bool{true, true, true, false}, begun, "who ends lets one in, once")
	each[1].end()
	each[2].end()
	synctest.Wait()
	each[3].end()
	assert.Empty(t, of, "in the end all turns are given back")
}
