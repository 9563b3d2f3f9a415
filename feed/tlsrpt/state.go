package tlsrpt

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/netip"
	"time"

	"github.com/smtpfeed/smtpfeed/feed"
)

const (
	stateVersion = 1
	maxLine      = 32 << 20 // octets of the line of a domain: maxPolicies with all their text and MaxDetails take less
	maxDays      = 64       // in a file; more come only from somebody who writes such files
	idLength     = 12
)

var (
	errNotState   = errors.New("not a state file of this version")
	errTruncated  = errors.New("the end is missing")
	errChecksum   = errors.New("the checksum is wrong")
	errOutOfPlace = errors.New("a line is out of place")
	errContent    = errors.New("a value cannot be")
)

// A savedDay is a day as the state file has it.
type savedDay struct {
	*day
	due  time.Time // when it is reported; zero while it lasts
	left []domain  // those that are not reported yet
}

// A stateLine is a line of the state file: the head, a day, one of its domains, or the end. Which one is told by the field that
// is set.
type stateLine struct {
	Version  int           `json:"tlsrpt,omitempty"`
	Day      string        `json:"day,omitempty"`
	ID       string        `json:"id,omitempty"`
	Due      *time.Time    `json:"due,omitempty"`
	Domain   string        `json:"domain,omitempty"`
	Mailed   []string      `json:"mailed,omitempty"`
	Policies []policyState `json:"policies,omitempty"`
	End      int           `json:"end,omitempty"` // how many lines stand before it
	Checksum uint32        `json:"crc,omitempty"` // CRC-32 (IEEE) of them
}

type policyState struct {
	Type     feed.PolicyType `json:"type"`
	Base     string          `json:"base,omitempty"`
	Strings  []string        `json:"strings,omitempty"`
	Patterns []string        `json:"patterns,omitempty"`
	OK       uint64          `json:"ok,omitempty"`
	Failed   uint64          `json:"failed,omitempty"`
	Details  []detailState   `json:"details,omitempty"`
}

type detailState struct {
	Result string     `json:"result"`
	Source netip.Addr `json:"source,omitzero"`
	Addr   netip.Addr `json:"addr,omitzero"`
	MX     string     `json:"mx,omitempty"`
	Reason string     `json:"reason,omitempty"`
	Count  uint64     `json:"count"`
}

// writeState writes days as lines of JSON: one domain a line, so that neither side needs memory for more than one, and a text
// that can be looked at. The checksum is for a disk that lost part of it; nobody is kept from changing the file.
func writeState(w io.Writer, days []savedDay) error {
	sum, lines := crc32.NewIEEE(), 0
	e := json.NewEncoder(io.MultiWriter(w, sum))
	e.SetEscapeHTML(false)
	put := func(l stateLine) error { lines++; return e.Encode(l) }
	err := put(stateLine{Version: stateVersion})
	for _, d := range days[max(0, len(days)-maxDays):] {
		head := stateLine{Day: d.date.String(), ID: d.id}
		if !d.due.IsZero() {
			head.Due = &d.due
		}
		err = errors.Join(err, put(head))
		for i := range d.left {
			if err != nil {
				return err
			}
			err = put(d.left[i].state())
		}
	}
	return errors.Join(err, put(stateLine{End: lines, Checksum: sum.Sum32()}))
}

func (m *domain) state() stateLine {
	l := stateLine{Domain: m.name, Mailed: m.mailed}
	for _, p := range m.policies {
		s := policyState{Type: p.kind, Base: p.base, Strings: p.strings, Patterns: p.patterns, OK: p.successes, Failed: p.failures}
		for _, k := range p.sorted() {
			s.Details = append(s.Details, detailState{k.result.String(), k.source, k.addr, k.mx, k.reason, p.details[k]})
		}
		l.Policies = append(l.Policies, s)
	}
	return l
}

// A stateReader reads what writeState wrote. It takes no more into memory than the bounds of a day allow for each day.
type stateReader struct {
	bounds
	lines *bufio.Scanner
	sum   hash.Hash32
	count int
	days  []savedDay
}

// readState reads all days, or none if anything is wrong: half of a day's counts would be a wrong report.
func readState(r io.Reader, b bounds) ([]savedDay, error) {
	s := &stateReader{bounds: b, lines: bufio.NewScanner(r), sum: crc32.NewIEEE()}
	s.lines.Buffer(nil, maxLine)
	for s.lines.Scan() {
		end, err := s.line(s.lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", s.count+1, err)
		}
		if end {
			return s.days, nil
		}
		s.count++
		s.sum.Write(s.lines.Bytes())
		s.sum.Write([]byte{'\n'})
	}
	return nil, errors.Join(s.lines.Err(), errTruncated)
}

func (s *stateReader) line(text []byte) (end bool, err error) {
	var l stateLine
	if err := json.Unmarshal(text, &l); err != nil {
		return false, err
	}
	switch {
	case s.count == 0:
		if l.Version != stateVersion {
			return false, errNotState
		}
		return false, nil
	case l.Day != "":
		return false, s.begin(l)
	case l.Domain != "":
		return false, s.domain(l)
	case l.End == 0:
		return false, errOutOfPlace
	case l.End != s.count || l.Checksum != s.sum.Sum32():
		return false, errChecksum
	default:
		return true, nil
	}
}

func (s *stateReader) begin(l stateLine) error {
	date, err := parseDate(l.Day)
	if err != nil || !isID(l.ID) || len(s.days) == maxDays {
		return errors.Join(err, errContent)
	}
	d := newDay(date, s.bounds)
	d.id = l.ID
	saved := savedDay{day: d}
	if l.Due != nil {
		saved.due = *l.Due
	}
	s.days = append(s.days, saved)
	return nil
}

// isID is whether s may stand in a file's name as newID makes it.
func isID(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == idLength
}

func (s *stateReader) domain(l stateLine) error {
	if len(s.days) == 0 {
		return errOutOfPlace
	}
	if !isDomain(l.Domain) || len(l.Mailed) > maxRUA {
		return errContent
	}
	d := s.days[len(s.days)-1].day
	for _, p := range l.Policies {
		if err := p.restore(d, l.Domain); err != nil {
			return err
		}
	}
	if m := d.domains[l.Domain]; m != nil {
		m.mailed = l.Mailed
	}
	return nil
}

// restore adds a saved policy to a day. What the bounds of today's configuration have no room for is left out.
func (s policyState) restore(d *day, domain string) error {
	p := d.find(domain, terms{s.Type, s.Base, s.Strings, s.Patterns})
	if p == nil {
		return nil
	}
	p.successes += s.OK
	p.failures += s.Failed
	for _, k := range s.Details {
		// What is unknown was written by a later version, and is a failure of some kind.
		r := detailOf(&feed.TLSResult{Result: k.Result, Source: k.Source, Addr: k.Addr, MX: k.MX, Reason: k.Reason})
		if r.result == success {
			return errContent
		}
		d.detail(p, r, k.Count)
	}
	return nil
}

// merge adds the counts of another day.
func (d *day) merge(other *day) {
	for _, m := range other.sorted() {
		for _, from := range m.policies {
			p := d.find(m.name, terms{from.kind, from.base, from.strings, from.patterns})
			if p == nil {
				continue
			}
			p.successes += from.successes
			p.failures += from.failures
			for _, k := range from.sorted() {
				d.detail(p, k, from.details[k])
			}
		}
	}
}
