package hostcheck

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An OpenSMTPD is what a smtpd.conf says, as far as it concerns us.
type OpenSMTPD struct {
	File string // its path, for advice

	macros  map[string]string
	tables  map[string][]string // those whose values stand in the file
	actions [][]string          // the words of each action
	limits  map[string]int64    // mta limit, smtp limit and smtp max-message-size, by keyword
	files   int                 // that were included
}

// replyWait is how long OpenSMTPD waits for a reply (mta_session.c). It cannot be configured.
const replyWait = 300 * time.Second

// mostIncludes bounds how many files are included: one may include itself.
const mostIncludes = 100

// ReadOpenSMTPD reads a smtpd.conf. include returns the text of a file that it includes.
func ReadOpenSMTPD(text string, include func(file string) string) OpenSMTPD {
	o := OpenSMTPD{macros: map[string]string{}, tables: map[string][]string{}, limits: map[string]int64{
		"max-rcpt": 1000, "max-message-size": 35 << 20, // config.c
		"conn-delay-route": 5, "conn-delay-relay": 2, "max-conn-per-route": 5, "max-conn-per-host": 10, // limit.c
	}}
	o.read(text, include)
	return o
}

// read takes the lines of one file. A line goes on as long as a brace is open.
func (o *OpenSMTPD) read(text string, include func(file string) string) {
	var words []string
	open := false
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		more := smtpdWords(line)
		words = append(words, more...)
		open = (open || slices.Contains(more, "{")) && !slices.Contains(more, "}")
		if !open {
			o.statement(words, include)
			words = nil
		}
	}
}

// statement takes what one line says.
func (o *OpenSMTPD) statement(words []string, include func(file string) string) {
	switch {
	case len(words) == 2 && words[0] == "include" && o.files < mostIncludes:
		o.files++
		o.read(include(words[1]), include)
	case len(words) < 3:
	case words[1] == "=":
		o.macros[words[0]] = words[2]
	case words[0] == "table" && words[2] == "{":
		o.tables[words[1]] = words[3:]
	case words[0] == "action":
		o.actions = append(o.actions, o.expand(words[1:]))
	case words[0] == "smtp", words[0] == "mta" && words[2] != "for": // limits for a domain are not ours
		o.limit(o.expand(words[1:]))
	}
}

// smtpdWords splits a line: quoted words are one, signs are one, and "#" begins a comment.
func smtpdWords(line string) []string {
	var words []string
	for line = strings.TrimSpace(line); line != "" && line[0] != '#'; line = strings.TrimSpace(line) {
		if line[0] == '"' {
			word, rest, _ := strings.Cut(line[1:], `"`)
			words, line = append(words, word), rest
			continue
		}
		end := strings.IndexAny(line, " \t=\"#{},")
		switch {
		case end < 0:
			end = len(line)
		case end == 0:
			end = 1
		}
		words, line = append(words, line[:end]), line[end:]
	}
	return words
}

// expand replaces "$name" by the macro's value.
func (o OpenSMTPD) expand(words []string) []string {
	for i, w := range words {
		if name, ok := strings.CutPrefix(w, "$"); ok {
			words[i] = o.macros[name]
		}
	}
	return words
}

// limit takes the numbers behind the keywords that are known.
func (o *OpenSMTPD) limit(words []string) {
	for i := 0; i+1 < len(words); i++ {
		if old, known := o.limits[words[i]]; known {
			o.limits[words[i]] = options{"": words[i+1]}.number("", old)
		}
	}
}

// Check says what keeps mail through smtpfeed slow or unsafe. Without an action of ours it says only that.
func (o OpenSMTPD) Check(f Feed) []Finding {
	r := &report{where: "opensmtpd"}
	found := false
	for _, a := range o.actions {
		places, relay := o.places(a)
		if len(places) == 0 || !f.ours(a[0], places[0]) {
			continue
		}
		found = true
		if i := slices.IndexFunc(places, f.misses); i >= 0 {
			r.add(Unsafe, fmt.Sprintf("listen = [%q] in [lmtp] of smtpfeed.toml, beside the others", places[i]), "action %s leads to %s, and smtpfeed listens on %s: mail that goes there stays in the queue", a[0], places[i], strings.Join(f.Listen, ", "))
		}
		if !relay {
			r.add(Unsafe, o.change(fmt.Sprintf("action %q relay host lmtp://127.0.0.1:2424", a[0])), "action %s delivers by lmtp as to a local mailbox: one program a recipient, and without rcpt-to to the user's name in place of the address", a[0])
		}
	}
	if !found {
		r.add(Note, "", "%s has no action that relays to smtpfeed; patches/opensmtpd shows how", o.File)
		return r.found
	}
	o.checkLimits(f, r)
	return r.found
}

// places is where an action connects to by LMTP, none if it does not; relay says that it is the relay action and not the
// local one. A table as host means all that is in it.
func (o OpenSMTPD) places(action []string) (places []string, relay bool) {
	for i := 1; i+1 < len(action); i++ {
		to := action[i+1]
		switch {
		case action[i] == "host":
			urls := []string{to}
			if strings.HasPrefix(to, "<") {
				urls = o.tables[strings.Trim(to, "<>")]
			}
			return lmtpPlaces(urls), true
		case action[i] == "lmtp" && strings.HasPrefix(to, "/"):
			return []string{"unix:" + to}, false
		case action[i] == "lmtp":
			return []string{"tcp:" + to}, false
		}
	}
	return nil, false
}

// lmtpPlaces picks the relay URLs that speak LMTP: "lmtp://[label@]host:port".
func lmtpPlaces(urls []string) []string {
	var places []string
	for _, u := range urls {
		if to, ok := strings.CutPrefix(u, "lmtp://"); ok {
			places = append(places, "tcp:"+to[strings.IndexByte(to, '@')+1:])
		}
	}
	return places
}

// checkLimits looks at what OpenSMTPD waits for and takes, and how fast it opens connections: its defaults are for other people's
// servers.
func (o OpenSMTPD) checkLimits(f Feed, r *report) {
	if f.Budget >= replyWait {
		r.add(Unsafe, `budget = "270s" in [lmtp] of smtpfeed.toml`, "OpenSMTPD waits %s for a reply, which is not configurable, and smtpfeed may answer after %s (lmtp.budget): it gives up and delivers again", seconds(replyWait), seconds(f.Budget))
	}
	for _, k := range []string{"conn-delay-route", "conn-delay-relay"} {
		if n := o.limits[k]; n > 0 {
			r.add(Slow, o.change("mta limit "+k+" 0"), "%s is %d: OpenSMTPD waits so many seconds between connections to smtpfeed", k, n)
		}
	}
	for _, k := range []string{"max-conn-per-route", "max-conn-per-host"} {
		if n := o.limits[k]; n < wantParallel {
			r.add(Slow, o.change("mta limit "+k+" 100"), "%s is %d: no more messages are handed over at once", k, n)
		}
	}
	if n := o.limits["max-rcpt"]; n < manyRecipients {
		r.add(Slow, o.change("smtp limit max-rcpt "+strconv.Itoa(adviceRecipients)), "max-rcpt is %d: who submits a larger list over SMTP is told 451 for the rest and has to come again", n)
	}
	if n := o.limits["max-message-size"]; f.MaxMessage > 0 && n > f.MaxMessage {
		r.add(Note, o.change(fmt.Sprintf("smtp max-message-size %d", f.MaxMessage)), "max-message-size is %d: what is larger than lmtp.max_message_size (%d) is taken and then bounces", n, f.MaxMessage)
	}
}

// change is the advice to change the file.
func (o OpenSMTPD) change(what string) string {
	return fmt.Sprintf("in %s: %s   then: systemctl restart opensmtpd", o.File, what)
}
