package feed

import (
	"bufio"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the traces of testdata/engine anew")

// TestEngine plays every interaction script: the engine alone, told events line by line in the language of traces, and what it
// orders written below each. The scripts read as the documentation of the methods.
func TestEngine(t *testing.T) {
	scripts, err := filepath.Glob("testdata/engine/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	for _, name := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(name)
			require.NoError(t, err)
			got := replay(t, string(want))
			if *update {
				require.NoError(t, os.WriteFile(name, []byte(got), 0o644))
				return
			}
			assert.Equal(t, string(want), got, "the engine orders what the script says (go test ./feed -run TestEngine -update writes it anew)")
		})
	}
}

// epoch is when scripts begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A player replays one script.
type player struct {
	t   *testing.T
	e   *engine
	now time.Time
	out strings.Builder
}

func replay(t *testing.T, script string) string {
	p := &player{t: t, now: epoch, e: newEngine(Config{Seed: 1}.withDefaults())}
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("the engine cannot be told this: %v\n%s", r, p.out.String())
		}
	}()
	lines := bufio.NewScanner(strings.NewReader(script))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "    ") {
			continue // what was ordered last time
		}
		fmt.Fprintln(&p.out, line)
		word, _, _ := strings.Cut(line, " ")
		switch {
		case line == "" || word == "#":
		case word == "config":
			p.e = newEngine(parseConfig(t, line).withDefaults())
		case word[0] == '+':
			p.advance(word)
		case word == "with": // several events before the next take: "with" all but the last
			p.e.step(p.now, parseEvent(t, p.now, strings.TrimPrefix(line, "with ")))
		default:
			p.e.step(p.now, parseEvent(t, p.now, line))
			p.show()
		}
		checkInvariants(t, p.e)
	}
	return p.out.String()
}

// advance lets time pass, with a tick at each deadline of the engine.
func (p *player) advance(by string) {
	d, err := time.ParseDuration(by[1:])
	require.NoError(p.t, err)
	end := p.now.Add(d)
	for {
		at, ok := p.e.wakeAt()
		if !ok || at.After(end) {
			break
		}
		p.now = at
		p.e.step(p.now, ticked{})
		p.show()
	}
	p.now = end
}

func (p *player) show() {
	for _, a := range p.e.take() {
		for line := range strings.Lines(actionText(a)) {
			fmt.Fprintf(&p.out, "    %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
}

// words splits a line at blanks outside quotes; quotes stay where they stand.
func words(line string) []string {
	var out []string
	var b strings.Builder
	quoted, escaped := false, false
	for _, c := range line {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			if b.Len() > 0 {
				out = append(out, b.String())
			}
			b.Reset()
			continue
		}
		b.WriteRune(c)
	}
	if b.Len() > 0 {
		out = append(out, b.String())
	}
	return out
}

// commas splits a value at commas outside quotes and takes the quotes off; what stands behind them ("..."*4) stays.
func commas(value string) []string {
	var out []string
	for len(value) > 0 {
		if q, err := strconv.QuotedPrefix(value); err == nil {
			s, _ := strconv.Unquote(q)
			suffix, tail, _ := strings.Cut(value[len(q):], ",")
			out, value = append(out, s+suffix), tail
			continue
		}
		head, tail, _ := strings.Cut(value, ",")
		out, value = append(out, head), tail
	}
	return out
}

func parseConfig(t *testing.T, line string) Config {
	c := Config{Seed: 1}
	for _, w := range words(line)[1:] {
		key, value, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "sessions":
			c.Sessions = n
		case "per_host":
			c.SessionsPerHost = n
		case "ledger": // how long is waited for it
			d, err := time.ParseDuration(value)
			require.NoError(t, err)
			c.Ledger, c.LedgerWait = scriptedLedger{}, d
		case "linger":
			d, err := time.ParseDuration(value)
			require.NoError(t, err)
			c.LedgerLinger = d
		case "remember":
			c.LedgerRecipients = n
		case "hedge":
			d, err := time.ParseDuration(value)
			require.NoError(t, err)
			c.HedgeDelay = d
		case "gather":
			d, err := time.ParseDuration(value)
			require.NoError(t, err)
			c.GatherTime = d
		case "recipients":
			c.RecipientsPerTransaction = n
		case "piggyback":
			c.Piggyback = map[string]Piggyback{"off": PiggybackOff, "learned": PiggybackLearned, "always": PiggybackAlways}[value]
		case "chunking":
			c.ChunkingFrom = int64(n)
		case "verp":
			sender, template, _ := strings.Cut(value, ",")
			c.VERP = append(c.VERP, VERP{Sender: sender, Template: template})
		case "header":
			text, err := strconv.Unquote(value)
			require.NoError(t, err)
			c.VERP[len(c.VERP)-1].Header = text
		case "prohibited":
			c.Prohibited = append(c.Prohibited, netip.MustParsePrefix(value))
		default:
			require.True(t, parseTLSConfig(&c, key, value), "unknown configuration %q", w)
		}
	}
	return c
}

// parseEvent reads an event as traces write it.
func parseEvent(t *testing.T, now time.Time, line string) event {
	w := words(line)
	switch w[0] {
	case "hinted":
		return hinted{domain: w[1], expected: len(w) > 2 && w[2] == "expected"}
	case "coming":
		from, err := strconv.Unquote(strings.TrimPrefix(w[1], "from="))
		if err != nil {
			from = strings.TrimPrefix(w[1], "from=")
		}
		return coming{source: source{from: mustAddress(t, from)}, over: len(w) > 2 && w[2] == "over"}
	case "sent":
		return parseSent(t, now, w[1:])
	case "cancelled":
		return cancelled{envelope: w[1]}
	case "taken":
		return taken{envelope: w[1]}
	case "abandoned":
		return abandoned{envelope: w[1]}
	case "kept":
		return kept{number: number(w[1])}
	case "recalled":
		return parseRecalled(t, now, w[1:])
	case "resolved":
		return parseResolved(t, now, w[1:])
	case "connected":
		return connected{session: sessionID(number(w[1]))}
	case "opened":
		return parseOpened(w[1:])
	case "cleared":
		return cleared{session: sessionID(number(w[1])), transaction: transactionID(number(w[2]))}
	case "finished":
		return finished{session: sessionID(number(w[1])), report: parseReport(t, w[2:])}
	case "ended":
		return ended{session: sessionID(number(w[1])), closing: parseClosing(t, w[2:])}
	case "drained":
		return drained{}
	case "ticked":
		return ticked{}
	}
	t.Fatalf("unknown event %q", line)
	return nil
}

func number(word string) uint64 {
	n, err := strconv.ParseUint(word[1:], 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func parseSent(t *testing.T, now time.Time, w []string) event {
	e := &Envelope{ID: w[0], Deadline: now.Add(540 * time.Second)}
	body := "a"
	for _, arg := range w[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "from":
			e.From = mustAddress(t, commas(value)[0])
		case "body":
			body = value
		case "announced":
			e.Announced = true
		case "id":
			e.QueueID = value
		case "budget":
			d, err := time.ParseDuration(value)
			require.NoError(t, err)
			e.Deadline = now.Add(d)
		case "to":
			for _, to := range commas(value) {
				e.Recipients = append(e.Recipients, expand(t, to)...)
			}
		default:
			parseParam(&e.Params, key)
		}
	}
	for _, a := range e.Recipients {
		e.Routes = append(e.Routes, strings.ToLower(a.Domain()))
	}
	e.Body = bodyOf(body)
	return sent{envelope: e}
}

// A scriptedLedger is there; what it is told stands in the script.
type scriptedLedger struct{}

func (scriptedLedger) Keep(Entry, func()) {}

// parseRecalled reads one delivery: its message by from and body, its recipients by their addresses.
func parseRecalled(t *testing.T, now time.Time, w []string) event {
	d := Delivery{At: now, Status: wire.Enhanced{Class: 2}, Reply: wire.Reply{Code: 250, Text: "ok"}}
	var from wire.Address
	body := "a"
	for _, arg := range w {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "from":
			from = mustAddress(t, commas(value)[0])
		case "body":
			body = value
		case "mx":
			d.MX = value
		case "ago":
			ago, err := time.ParseDuration(value)
			require.NoError(t, err)
			d.At = now.Add(-ago)
		case "to":
			for _, to := range commas(value) {
				for _, a := range expand(t, to) {
					d.Recipients = append(d.Recipients, recipientIDOf(a))
				}
			}
		}
	}
	d.Message = messageIDOf(from, bodyOf(body).Digest())
	return recalled{deliveries: []Delivery{d}}
}

// expand makes "u*3@x" into u1@x, u2@x and u3@x.
func expand(t *testing.T, to string) []wire.Address {
	local, domain, _ := strings.Cut(to, "@")
	name, count, many := strings.Cut(local, "*")
	if !many {
		return []wire.Address{mustAddress(t, to)}
	}
	n, err := strconv.Atoi(count)
	require.NoError(t, err)
	var out []wire.Address
	for i := range n {
		out = append(out, mustAddress(t, fmt.Sprintf("%s%d@%s", name, i+1, domain)))
	}
	return out
}

func mustAddress(t testing.TB, s string) wire.Address {
	a, err := wire.ParseAddress(s)
	require.NoError(t, err)
	return a
}

func bodyOf(text string) *wire.Body {
	var w wire.BodyWriter
	w.Write([]byte(text))
	return w.Body()
}

func parseResolved(t *testing.T, now time.Time, w []string) event {
	ev := resolved{domain: w[0], route: resolver.Route{Domain: w[0], Expires: now.Add(time.Hour)}}
	for _, arg := range w[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "grown":
			ev.grown = true
		case "verified":
			ev.verified = true
		case "ttl":
			d, err := time.ParseDuration(value)
			require.NoError(t, err)
			ev.route.Expires = now.Add(d)
		case "error":
			n, err := strconv.Atoi(value)
			require.NoError(t, err)
			ev.err = &resolver.Error{Kind: resolver.Kind(n), Domain: w[0], Question: "MX " + w[0], Reason: "scripted"}
		case "mx", "relay", "additional", "additional4":
			parts := strings.Split(value, "/")
			pref, err := strconv.Atoi(parts[0])
			require.NoError(t, err)
			mx := resolver.MX{Preference: pref, Name: parts[1], Configured: key == "relay", Additional: strings.HasPrefix(key, "additional")}
			for _, a := range parts[2:] {
				mx.Addrs = append(mx.Addrs, netip.MustParseAddr(a))
			}
			mx.Hinted6 = key == "additional" && slices.ContainsFunc(mx.Addrs, netip.Addr.Is6)
			ev.route.MX = append(ev.route.MX, mx)
		default:
			parseSecurity(t, &ev.route, key, value)
		}
	}
	return ev
}

func parseOpened(w []string) event {
	ev := opened{session: sessionID(number(w[0])), connect: 100 * time.Millisecond}
	for _, arg := range w[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "pipelining":
			ev.caps.Pipelining = true
		case "rcptmax":
			ev.caps.RcptMax, _ = strconv.Atoi(value)
		case "rcptdomainmax":
			ev.caps.RcptDomainMax, _ = strconv.Atoi(value)
		case "mailmax":
			ev.caps.MailMax, _ = strconv.Atoi(value)
		case "size":
			ev.caps.HasSize = true
			ev.caps.Size, _ = strconv.ParseInt(value, 10, 64)
		case "chunking":
			ev.caps.Chunking = true
		case "fixup":
			ev.fixup = true
		default:
			parseOffer(&ev, key)
		}
	}
	return ev
}
