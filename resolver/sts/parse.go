package sts

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds on a policy. The largest ones in use have some 30 patterns.
const (
	maxAge    = 31_557_600 * time.Second // RFC 8461 section 3.2: "maximum value of 31557600"
	maxMX     = 256
	maxExtras = 2048 // octets of unknown lines that Text keeps
)

// ParsePolicy reads a policy as fetched at now (RFC 8461 section 3.2). Its error is an *Error of Result PolicyInvalid. What
// deviates from the grammar is no policy, but for blank lines, which editors leave at the end.
func ParsePolicy(domain, id string, body []byte, now time.Time) (*Policy, error) {
	f, err := readFields(body)
	if err != nil {
		return nil, failed(domain, PolicyInvalid, "%v", err)
	}
	p := &Policy{Domain: domain, ID: id, MX: f.mx, Text: f.text}
	if p.Mode, err = f.modeValue(); err != nil {
		return nil, failed(domain, PolicyInvalid, "%v", err)
	}
	if p.MaxAge, err = f.maxAgeValue(); err != nil {
		return nil, failed(domain, PolicyInvalid, "%v", err)
	}
	if len(p.MX) == 0 && p.Mode != None {
		return nil, failed(domain, PolicyInvalid, "no mx in mode %s", p.Mode)
	}
	// By the wall clock: a machine that sleeps, or a process that ends, must not lengthen a policy's life.
	p.Expires = now.Round(0).Add(p.MaxAge)
	return p, nil
}

// fields is a policy's lines, taken apart.
type fields struct {
	first  map[string]string // version, mode, max_age
	mx     []string
	text   []string
	extras int // octets of unknown lines in text
}

func readFields(body []byte) (*fields, error) {
	f := &fields{first: make(map[string]string, 3)}
	number := 0
	for line := range strings.SplitSeq(string(body), "\n") {
		number++
		line = strings.TrimRight(strings.TrimSuffix(line, "\r"), " \t") // each field may be followed by *WSP
		if line == "" {
			continue
		}
		if err := f.add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return f, nil
}

// add takes one line. RFC 8461 section 3.2: "If any non-repeated field -- i.e., all fields excepting "mx" -- is duplicated, all
// entries except for the first SHALL be ignored", and "unknown fields SHALL be ignored".
func (f *fields) add(line string) error {
	key, value, ok := strings.Cut(line, ":")
	if !ok || !isKey(key) {
		return fmt.Errorf("not a key and a value")
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, isControl) {
		return fmt.Errorf("control characters or not UTF-8")
	}
	// A copy: the policy must not hold on to all of the body.
	value = printable(strings.Trim(strings.ReplaceAll(value, "\t", " "), " "))
	switch key {
	case "version", "mode", "max_age":
		if _, dup := f.first[key]; !dup {
			f.first[key] = value
			f.text = append(f.text, key+": "+value[:min(len(value), 64)]) // what is longer is not valid
		}
		return nil
	case "mx":
		return f.addMX(value)
	}
	if f.extras += len(key) + len(value); f.extras <= maxExtras {
		f.text = append(f.text, key+": "+value)
	}
	return nil
}

// addMX takes a pattern: a domain of RFC 5321 section 4.1.2 with A-labels, perhaps behind "*.".
func (f *fields) addMX(value string) error {
	if len(f.mx) == maxMX {
		// To leave the rest out would refuse mail to exchangers that the domain has named.
		return fmt.Errorf("more than %d mx", maxMX)
	}
	pattern := strings.ToLower(value)
	name := strings.TrimPrefix(pattern, "*.")
	if !isDomain(name) || strings.Contains(name, "_") {
		return fmt.Errorf("mx %.80q is not a host name", value)
	}
	f.mx = append(f.mx, pattern)
	f.text = append(f.text, "mx: "+value)
	return nil
}

// modeValue also looks at the version, without which the mode means nothing.
func (f *fields) modeValue() (Mode, error) {
	if v := f.first["version"]; v != "STSv1" {
		return None, fmt.Errorf("version %.20q", v)
	}
	switch m := f.first["mode"]; m {
	case "enforce":
		return Enforce, nil
	case "testing":
		return Testing, nil
	case "none":
		return None, nil
	default:
		return None, fmt.Errorf("mode %.20q", m)
	}
}

// maxAgeValue reads 1*10(DIGIT) seconds. More than a year is a year.
func (f *fields) maxAgeValue() (time.Duration, error) {
	v := f.first["max_age"]
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil || len(v) > 10 {
		return 0, fmt.Errorf("max_age %.20q", v)
	}
	return time.Duration(min(n, uint64(maxAge/time.Second))) * time.Second, nil // first the minimum: ten digits of seconds overflow
}

// isControl tells what sts-policy-vchar excludes. WSP may stand before a value; a tab inside of one does no harm.
func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }
