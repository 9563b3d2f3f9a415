package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// logPatience is how long a log line may block. The journal takes it in microseconds; what takes longer has stopped.
const logPatience = time.Second

// A logWriter is standard error, which may be a pipe that nobody reads any more, a terminal stopped by ^S, or a journal that hangs. Mail
// must not wait for it: every envelope logs a line. A goroutine of its own writes (see pen); who logs waits for that, but once for at
// most logPatience, and until the reader reads again lines are dropped and counted.
type logWriter struct {
	to    io.Writer
	lines chan logLine // to the goroutine; no capacity

	mu      sync.Mutex // guards what follows; never held while waiting
	stuck   bool       // a line was given up, and is not written yet
	dropped uint64
}

type logLine struct {
	text []byte
	done chan struct{} // closed when it is written
}

// newLogWriter starts the goroutine, which lives as long as the process.
func newLogWriter(to io.Writer) *logWriter {
	w := &logWriter{to: to, lines: make(chan logLine)}
	go w.run()
	return w
}

// Write writes a line, or drops it. slog's handlers call it once a line, one at a time.
func (w *logWriter) Write(text []byte) (int, error) {
	if w.drop(false) {
		return len(text), nil
	}
	patience := time.NewTimer(logPatience)
	defer patience.Stop()
	line := logLine{slices.Clone(text), make(chan struct{})} // the handler uses its buffer again
	select {
	case w.lines <- line:
	case <-patience.C:
		w.drop(true)
		return len(text), nil
	}
	select {
	case <-line.done:
	case <-patience.C:
		w.giveUp(line)
	}
	return len(text), nil
}

// drop counts a line that is not written: when nobody reads, or always.
func (w *logWriter) drop(always bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if always || w.stuck {
		w.dropped++
	}
	return w.stuck
}

// giveUp lets the program go on without a line that the goroutine has.
func (w *logWriter) giveUp(line logLine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-line.done:
	default:
		w.stuck = true
	}
}

// written says that a line is, and returns how many were dropped meanwhile.
func (w *logWriter) written(line logLine) (dropped uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(line.done)
	dropped, w.dropped, w.stuck = w.dropped, 0, false
	return dropped
}

func (w *logWriter) run() {
	for line := range w.lines {
		_, _ = w.to.Write(line.text) // nobody to tell
		if n := w.written(line); n > 0 {
			_, _ = fmt.Fprintf(w.to, "smtpfeed: %d log lines were dropped, because nobody read them\n", n)
		}
	}
}
