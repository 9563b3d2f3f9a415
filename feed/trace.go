package feed

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
	"github.com/smtpfeed/smtpfeed/resolver"
)

// A tracer writes what goes into the engine and what comes out of it, a line each: an event with the time since the first one
// in front, its actions indented below. The interaction scripts in testdata/engine are in this language too, so that a trace of a
// real run can be cut down to a test. A nil tracer writes nothing.
type tracer struct {
	w     io.Writer
	start time.Time
}

func newTracer(w io.Writer) *tracer {
	if w == nil {
		return nil
	}
	return &tracer{w: w}
}

func (t *tracer) event(now time.Time, ev event) {
	if t == nil {
		return
	}
	if t.start.IsZero() {
		t.start = now
	}
	fmt.Fprintf(t.w, "+%s %s\n", now.Sub(t.start), eventText(ev, now))
}

func (t *tracer) action(a action) {
	if t == nil {
		return
	}
	for line := range strings.Lines(actionText(a)) {
		fmt.Fprintf(t.w, "    %s", strings.TrimSuffix(line, "\n")+"\n")
	}
}

// eventText is an event as one line.
func eventText(ev event, now time.Time) string {
	switch ev := ev.(type) {
	case hinted:
		if ev.expected {
			return "hinted " + ev.domain + " expected"
		}
		return "hinted " + ev.domain
	case coming:
		text := fmt.Sprintf("coming from=%q", ev.source.from.String())
		if ev.over {
			text += " over"
		}
		return text
	case sent:
		return sentText(ev.envelope, now)
	case cancelled:
		return "cancelled " + ev.envelope
	case taken:
		return "taken " + ev.envelope
	case abandoned:
		return "abandoned " + ev.envelope
	case kept:
		return fmt.Sprintf("kept k%d", ev.number)
	case recalled:
		return recalledText(ev)
	case resolved:
		return resolvedText(ev, now)
	case connected:
		return fmt.Sprintf("connected s%d", ev.session)
	case opened:
		return fmt.Sprintf("opened s%d%s", ev.session, capsText(ev))
	case cleared:
		return fmt.Sprintf("cleared s%d t%d", ev.session, ev.transaction)
	case finished:
		return fmt.Sprintf("finished s%d %s", ev.session, reportText(ev.report))
	case ended:
		return fmt.Sprintf("ended s%d %s", ev.session, closingText(ev.closing))
	case drained:
		return "drained"
	case ticked:
		return "ticked"
	default:
		panic(fmt.Sprintf("BUG: unknown event %T", ev))
	}
}

func sentText(e *Envelope, now time.Time) string {
	to := make([]string, len(e.Recipients))
	for i, a := range e.Recipients {
		to[i] = strconv.Quote(a.String())
	}
	body := ""
	if e.Body != nil {
		d := e.Body.Digest()
		body = fmt.Sprintf(" body=%x", d[:4])
	}
	if e.QueueID != "" {
		body += " id=" + e.QueueID
	}
	if e.Announced {
		body += " announced"
	}
	body += paramsText(e.Params)
	return fmt.Sprintf("sent %s from=%q%s budget=%s to=%s", e.ID, e.From.String(), body, e.Deadline.Sub(now), strings.Join(to, ","))
}

// paramsText is what a message asks of its hosts.
func paramsText(p Params) (text string) {
	for _, w := range []struct {
		word string
		said bool
	}{{"requiretls", p.RequireTLS}, {"tlsoptional", p.TLSOptional}, {"8bitmime", p.EightBitMIME}, {"smtputf8", p.SMTPUTF8}} {
		if w.said {
			text += " " + w.word
		}
	}
	return text
}

func resolvedText(ev resolved, now time.Time) string {
	if ev.err != nil {
		kind := resolver.Temporary
		if re, ok := ev.err.(*resolver.Error); ok {
			kind = re.Kind
		}
		if ev.verified {
			return fmt.Sprintf("resolved %s error=%d verified", ev.domain, kind)
		}
		return fmt.Sprintf("resolved %s error=%d", ev.domain, kind)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "resolved %s ttl=%s", ev.domain, ev.route.Expires.Sub(now))
	if ev.grown {
		b.WriteString(" grown")
	}
	if ev.verified {
		b.WriteString(" verified")
	}
	for _, mx := range ev.route.MX {
		word := "mx"
		if mx.Configured {
			word = "relay"
		} else if mx.Additional {
			word = "additional"
			if !mx.Hinted6 && slices.ContainsFunc(mx.Addrs, netip.Addr.Is6) {
				word = "additional4"
			}
		}
		fmt.Fprintf(&b, " %s=%d/%s", word, mx.Preference, mx.Name)
		for _, a := range mx.Addrs {
			b.WriteString("/" + a.String())
		}
		b.WriteString(securityText(mx))
	}
	if p := ev.route.STS; p != nil {
		fmt.Fprintf(&b, " sts=%s/%s", p.Mode, strings.Join(p.MX, "/"))
	}
	return b.String()
}

// securityText is what the DNS proves of an exchanger, and of its keys.
func securityText(mx resolver.MX) string {
	switch {
	case mx.DANE != nil && mx.DANE.Err != nil:
		return " tlsa=error"
	case mx.DANE != nil:
		records := make([]string, len(mx.DANE.Records))
		for i, r := range mx.DANE.Records {
			records[i] = strconv.Quote(r.String())
		}
		return " tlsa=" + strings.Join(records, ",")
	case mx.Secure:
		return " secure"
	}
	return ""
}

func capsText(ev opened) string {
	var b strings.Builder
	if ev.caps.Pipelining {
		b.WriteString(" pipelining")
	}
	if ev.caps.RcptMax > 0 {
		fmt.Fprintf(&b, " rcptmax=%d", ev.caps.RcptMax)
	}
	if ev.caps.RcptDomainMax > 0 {
		fmt.Fprintf(&b, " rcptdomainmax=%d", ev.caps.RcptDomainMax)
	}
	if ev.caps.MailMax > 0 {
		fmt.Fprintf(&b, " mailmax=%d", ev.caps.MailMax)
	}
	if ev.caps.Chunking {
		b.WriteString(" chunking")
	}
	if ev.caps.HasSize {
		fmt.Fprintf(&b, " size=%d", ev.caps.Size)
	}
	if ev.tls.name != "" {
		b.WriteString(" tls")
	}
	if ev.tls.verified {
		b.WriteString(" verified")
	}
	if ev.caps.StartTLS {
		b.WriteString(" starttls")
	}
	for _, w := range []struct {
		word    string
		offered bool
	}{{"requiretls", ev.caps.RequireTLS}, {"8bitmime", ev.caps.EightBitMIME}, {"smtputf8", ev.caps.SMTPUTF8}, {"dsn", ev.caps.DSN}, {"later", ev.tls.later}, {"complaint", ev.tls.complain != nil}} {
		if w.offered {
			b.WriteString(" " + w.word)
		}
	}
	if ev.fixup {
		b.WriteString(" fixup")
	}
	return b.String()
}

func reportText(r *report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "t%d", r.transaction)
	part := func(name string, replies ...wire.Reply) {
		texts := make([]string, len(replies))
		for i, p := range replies {
			texts[i] = replyText(p)
		}
		if len(replies) > 0 && replies[0].Code != 0 {
			fmt.Fprintf(&b, " %s=%s", name, strings.Join(texts, ","))
		}
	}
	part("mail", r.mail)
	part("rcpt", r.rcpts...)
	part("data", r.data)
	part("final", r.final)
	if r.dotted {
		b.WriteString(" dotted")
	}
	if r.err != nil {
		fmt.Fprintf(&b, " stage=%s err=%q", r.stage, r.err.Error())
	}
	if r.local {
		b.WriteString(" local")
	}
	return b.String()
}

// replyText is a reply as a word: bare when it is only a code.
func replyText(r wire.Reply) string {
	if r.Text == "" && r.Enhanced == (wire.Enhanced{}) {
		return strconv.Itoa(r.Code)
	}
	return strconv.Quote(r.String())
}

func closingText(c closing) string {
	text := c.stage.String()
	if c.reply.Code != 0 {
		text += " reply=" + replyText(c.reply)
	}
	if c.err != nil {
		text += fmt.Sprintf(" err=%q", c.err.Error())
	}
	if c.local {
		text += " local"
	}
	if c.tls != nil {
		text += " tls=" + c.tls.result
		if c.tls.hello {
			text += " hello"
		}
		if c.tls.final {
			text += " breach"
		}
	}
	if c.noRoute {
		text += " noroute"
	}
	if c.unbound {
		text += " unbound"
	}
	return text
}

// actionText is an action as lines: one, and for settle one a recipient.
func actionText(a action) string {
	switch a := a.(type) {
	case lookup:
		if a.verify {
			return "lookup " + a.domain + " verify"
		}
		return "lookup " + a.domain
	case dial:
		return fmt.Sprintf("dial s%d %s%s", a.session, a.to, dialText(a))
	case transmit:
		return transmitText(a)
	case hangup:
		switch {
		case a.stuck:
			return fmt.Sprintf("hangup s%d stuck", a.session)
		case a.abort:
			return fmt.Sprintf("hangup s%d abort", a.session)
		case a.linger:
			return fmt.Sprintf("hangup s%d linger", a.session)
		}
		return fmt.Sprintf("hangup s%d", a.session)
	case observe:
		return observeText(a)
	case keep:
		return keepText(a)
	case settle:
		lines := make([]string, len(a.settlements))
		for i, st := range a.settlements {
			lines[i] = fmt.Sprintf("settle %s %s %s", a.envelope.ID, a.envelope.Recipients[st.Recipient], outcomeText(st.Outcome))
		}
		return strings.Join(lines, "\n")
	default:
		panic(fmt.Sprintf("BUG: unknown action %T", a))
	}
}

// dialText is what is unusual about a dial.
func dialText(d dial) (text string) {
	if d.policy != nil && d.policy.key != "" {
		text = fmt.Sprintf(" policy=%q", d.policy.String())
	}
	if d.plain {
		text += " plain"
	}
	if d.reduced {
		text += " reduced"
	}
	return text
}

// observeText is a line a result.
func observeText(a observe) string {
	lines := make([]string, len(a.results))
	for i, r := range a.results {
		lines[i] = fmt.Sprintf("observe %s %s %s %s", r.Domain, r.Policy, r.MX, cmp.Or(r.Result, "success"))
	}
	return strings.Join(lines, "\n")
}

func transmitText(a transmit) string {
	o := a.order
	to := make([]string, len(o.to))
	for i, r := range o.to {
		to[i] = r.String()
	}
	text := fmt.Sprintf("transmit s%d t%d from=<%s> to=%s", a.session, o.transaction, o.from, strings.Join(to, ","))
	if o.header != nil {
		text += fmt.Sprintf(" header=%q", o.header)
	}
	if o.lockstep {
		text += " lockstep"
	}
	if o.plain {
		text += " plain"
	}
	if o.chunked {
		text += " chunked"
	}
	return text
}

func outcomeText(o *Outcome) string {
	text := fmt.Sprintf("%s %s", o.Class, o.Status)
	if o.Earlier {
		text += " earlier"
	}
	if o.Uncertain {
		text += " uncertain"
	}
	if o.Via != nil {
		text += " via " + o.Via.MX
	}
	return text + ": " + o.Reason()
}

// recalledText and keepText name messages and recipients by the first octets of their names in the ledger.
func recalledText(ev recalled) string {
	var b strings.Builder
	b.WriteString("recalled")
	for _, d := range ev.deliveries {
		b.WriteString(" " + deliveryText(d))
	}
	return b.String()
}

func keepText(a keep) string {
	var b strings.Builder
	b.WriteString("keep")
	if a.number > 0 {
		fmt.Fprintf(&b, " k%d", a.number)
	}
	for _, d := range a.entry.Delivered {
		b.WriteString(" " + deliveryText(d))
	}
	for _, m := range a.entry.Forgotten {
		fmt.Fprintf(&b, " forget=%x", m[:2])
	}
	return b.String()
}

func deliveryText(d Delivery) string {
	ids := make([]string, len(d.Recipients))
	for i, id := range d.Recipients {
		ids[i] = fmt.Sprintf("%x", id[:2])
	}
	return fmt.Sprintf("%x/%s/%q=%s", d.Message[:2], d.MX, d.Reply.String(), strings.Join(ids, ","))
}
