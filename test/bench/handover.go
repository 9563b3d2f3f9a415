package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A handover is what smtpfeed's delivery records tell of how a host handed its mail over.
type handover struct {
	records   int
	envelopes int       // LMTP transactions
	last      time.Time // when the last of them was complete
}

// handedOver waits until smtpfeed has written n records: it does so in batches, behind its replies.
func (d *daemon) handedOver(n int) (h handover, err error) {
	for range 250 {
		if h, err = readHandover(filepath.Join(d.dir, "deliveries.jsonl")); err != nil || h.records >= n {
			return h, err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return h, fmt.Errorf("smtpfeed has written %d delivery records of %d", h.records, n)
}

func readHandover(file string) (handover, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return handover{}, err
	}
	return parseHandover(b)
}

// parseHandover reads complete lines. An envelope was complete, its final dot read, "delay" seconds before each of its records.
func parseHandover(records []byte) (h handover, err error) {
	envelopes := make(map[string]bool)
	for in := bufio.NewReader(bytes.NewReader(records)); ; h.records++ {
		line, err := in.ReadSlice('\n')
		if err != nil { // the end; what is torn is still being written
			h.envelopes = len(envelopes)
			return h, nil
		}
		var r struct {
			Time     time.Time
			Envelope string
			Delay    float64
		}
		if err := json.Unmarshal(line, &r); err != nil {
			return h, fmt.Errorf("delivery record %q: %w", line, err)
		}
		envelopes[r.Envelope] = true
		if dot := r.Time.Add(-time.Duration(r.Delay * float64(time.Second))); dot.After(h.last) {
			h.last = dot
		}
	}
}
