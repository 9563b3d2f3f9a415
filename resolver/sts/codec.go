package sts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
)

// The cache file is a header and a line per policy, the one asked for longest ago first:
//
//	smtpfeed MTA-STS policies 1
//	0badf00d {"domain":"example.net","id":"20261122","fetched":1795348800,"asked":1795348800,"text":["version: STSv1", ...]}
//
// In front of each stands its CRC-32 in hexadecimal: a wrong octet must cost one policy, and must not make another one of it.
const header = "smtpfeed MTA-STS policies 1"

// A record is a policy in the file. What can be read from its text is not repeated.
type record struct {
	Domain  string   `json:"domain"`
	ID      string   `json:"id"`
	Fetched int64    `json:"fetched"` // seconds since 1970
	Asked   int64    `json:"asked"`
	Text    []string `json:"text"`
}

// appendRecord appends the line of a policy. Its text is printable ASCII, so that a line is one line.
func appendRecord(b []byte, p *Policy, asked time.Time) ([]byte, error) {
	data, err := json.Marshal(record{p.Domain, p.ID, p.fetched().Unix(), asked.Unix(), p.Text})
	if err != nil {
		return b, err
	}
	b = fmt.Appendf(b, "%08x ", crc32.ChecksumIEEE(data))
	return append(append(b, data...), '\n'), nil
}

// parseRecord reads a line without its end. It trusts the file no more than a policy host.
func parseRecord(line []byte, now time.Time) (*Policy, time.Time, error) {
	sum, data, ok := bytes.Cut(line, []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !ok || err != nil || crc32.ChecksumIEEE(data) != uint32(want) {
		return nil, now, errors.New("checksum")
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, now, err
	}
	if !isDomain(r.Domain) || !isID(r.ID) {
		return nil, now, errors.New("domain or id")
	}
	p, err := ParsePolicy(r.Domain, r.ID, []byte(strings.Join(r.Text, "\n")), past(r.Fetched, now))
	if err != nil {
		return nil, now, err
	}
	return p, past(r.Asked, now), nil
}

// past is a time of the file. One that is still to come was written by a clock that was wrong, or this one is: it counts as
// now, so that no policy lives longer than its max_age from here.
func past(seconds int64, now time.Time) time.Time {
	if t := time.Unix(seconds, 0).UTC(); seconds > 0 && t.Before(now) {
		return t
	}
	return now
}
