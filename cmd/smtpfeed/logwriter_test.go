package main

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// A gate is a writer that waits until it is opened.
type gate struct {
	bytes.Buffer
	open chan struct{} // closed by the test
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	return g.Buffer.Write(p)
}

func TestLogWithoutAReader(t *testing.T) { synctest.Test(t, testLogWithoutAReader) }

func testLogWithoutAReader(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	w := newLogWriter(g)
	t.Cleanup(func() { close(w.lines) })
	assert.Equal(t, logPatience, took(func() { fmt.Fprintln(w, "one") }), "a line waits for the reader, and not for ever")
	assert.Zero(t, took(func() {
		for range 1000 {
			fmt.Fprintln(w, "more")
		}
	}), "others do not wait again")
	close(g.open)
	synctest.Wait()
	fmt.Fprintln(w, "two")
	time.Sleep(time.Second)
	assert.Equal(t, "one\nsmtpfeed: 1000 log lines were dropped, because nobody read them\ntwo\n", g.String(), "when the reader reads it is told what it missed")
}
