package hostcheck

import (
	"net"
	"path"
	"strconv"
	"strings"
	"time"
)

// A Postfix is one instance's configuration.
type Postfix struct {
	Dir     string  // named by the administrator; "" for the default instance
	Account Account // mail_owner, which lmtp(8) runs as
	tables  []string

	params    map[string]string            // main.cf with all defaults, references resolved
	services  map[string]service           // master.cf by "name/type"
	overrides map[string]map[string]string // -o in master.cf, by "name/type" and parameter
}

// A service is one entry of master.cf.
type service struct {
	key                             string // "name/type"
	unprivileged, chroot, processes string
	command                         string
}

// ReadPostfix reads what `postconf -x`, `postconf -M` and `postconf -Px` printed. Lines it cannot read are passed over.
func ReadPostfix(params, services, overrides string) Postfix {
	p := Postfix{params: map[string]string{}, services: map[string]service{}, overrides: map[string]map[string]string{}}
	for line := range strings.Lines(params) {
		if name, value, ok := assignment(line); ok {
			p.params[name] = value
		}
	}
	for line := range strings.Lines(services) {
		if f := strings.Fields(line); len(f) >= 8 {
			key := f[0] + "/" + f[1]
			p.services[key] = service{key: key, unprivileged: f[3], chroot: f[4], processes: f[6], command: f[7]}
		}
	}
	for line := range strings.Lines(overrides) {
		at, value, _ := assignment(line)
		if i := strings.LastIndexByte(at, '/'); i > 0 {
			if p.overrides[at[:i]] == nil {
				p.overrides[at[:i]] = map[string]string{}
			}
			p.overrides[at[:i]][at[i+1:]] = value
		}
	}
	return p
}

// assignment splits "name = value".
func assignment(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, "=")
	return strings.TrimSpace(name), strings.TrimSpace(value), ok && strings.TrimSpace(name) != ""
}

// Owner is the account that Postfix's daemons run as.
func (p Postfix) Owner() string { return p.params["mail_owner"] }

// TableFiles lists the sources of the tables that can choose a transport, as far as they are text.
func (p Postfix) TableFiles() []string {
	var files []string
	for _, param := range []string{"transport_maps", "sender_dependent_default_transport_maps", "mailbox_transport_maps"} {
		for _, t := range strings.FieldsFunc(p.params[param], func(r rune) bool { return r == ',' || r == ' ' }) {
			kind, file, _ := strings.Cut(t, ":")
			switch kind {
			case "hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash", "pcre", "regexp", "cidr":
				files = append(files, file)
			}
		}
	}
	return files
}

// AddTable takes the text of one of TableFiles.
func (p *Postfix) AddTable(text string) { p.tables = append(p.tables, text) }

// value is a parameter as a service sees it: its own -o comes before main.cf.
func (p Postfix) value(serviceKey, param string) string {
	if v, ok := p.overrides[serviceKey][param]; ok {
		return v
	}
	return p.params[param]
}

// number is a numeric parameter; ok is false when it is not known.
func (p Postfix) number(serviceKey, param string) (n int64, ok bool) {
	n, err := strconv.ParseInt(p.value(serviceKey, param), 10, 64)
	return n, err == nil
}

// length is a parameter that is a length of time; ok is false when it is not known.
func (p Postfix) length(serviceKey, param string) (d time.Duration, ok bool) {
	return parseLength(strings.ReplaceAll(p.value(serviceKey, param), " ", ""))
}

// parseLength reads "600s", "1h", "1h30m", "2d" or a number of seconds.
func parseLength(text string) (d time.Duration, ok bool) {
	unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	for text != "" {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		n, err := strconv.ParseInt(text[:digits], 10, 32)
		if err != nil {
			return 0, false
		}
		per := time.Second
		if text = text[digits:]; text != "" {
			if per, ok = unit[text[0]|0x20]; !ok {
				return 0, false
			}
			text = text[1:]
		}
		if d += time.Duration(n) * per; d < 0 || per > 0 && time.Duration(n) > 1<<62/per {
			return 0, false
		}
		ok = true
	}
	return d, ok
}

// A transport is a way to smtpfeed: a service of master.cf, and where it is told to connect.
type transport struct {
	service
	name  string // without the type
	set   string // what names it: "default_transport" or "a table"
	place string // "unix:PATH", as seen from outside of the chroot, or "tcp:HOST:PORT"
	dirty bool   // the path was absolute and yet is taken below the queue directory
}

// transports lists the ways to us, each place of a service once.
func (p Postfix) transports(f Feed) []transport {
	var list []transport
	seen := map[string]bool{}
	consider := func(set, value string) {
		name, nexthop, _ := strings.Cut(value, ":")
		if nexthop == "" && (set == "default_transport" || set == "relay_transport") {
			nexthop = p.params["relayhost"]
		}
		t := p.transport(name, nexthop)
		t.set = set
		if key := name + " " + t.place; f.ours(name, t.place) && !seen[key] {
			seen[key] = true
			list = append(list, t)
		}
	}
	for _, set := range []string{"default_transport", "relay_transport", "local_transport", "virtual_transport", "mailbox_transport", "content_filter"} {
		consider(set, p.params[set])
	}
	for _, candidate := range p.tableValues() {
		consider("a table", candidate)
	}
	return list
}

// tableValues lists the words of transport tables that name a service we have or should have.
func (p Postfix) tableValues() []string {
	var values []string
	texts := append([]string{p.params["transport_maps"], p.params["sender_dependent_default_transport_maps"]}, p.tables...)
	for line := range strings.Lines(strings.Join(texts, "\n")) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n{},", r) }) {
			name, nexthop, ok := strings.Cut(word, ":")
			if _, known := p.services[name+"/unix"]; ok && nexthop != "" && (known || name == "smtpfeed") {
				values = append(values, word)
			}
		}
	}
	return values
}

// transport works out where a service connects to. Service and place are empty when master.cf or the setting lacks them.
func (p Postfix) transport(name, nexthop string) transport {
	t := transport{service: p.services[name+"/unix"], name: name}
	if file, ok := strings.CutPrefix(nexthop, "unix:"); ok {
		inside := !path.IsAbs(file)
		t.dirty = !inside && p.chrooted(t.service)
		if inside || t.dirty { // relative to the queue directory, which is also the chroot
			file = path.Join(p.params["queue_directory"], file)
		}
		t.place = "unix:" + file
		return t
	}
	nexthop = strings.TrimPrefix(nexthop, "inet:")
	if host, port, err := net.SplitHostPort(nexthop); err == nil {
		t.place = "tcp:" + net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	return t
}

// chrooted says that a service runs in the queue directory. "-" means no since Postfix 3.0, unless compatibility_level is
// below 1.
func (p Postfix) chrooted(s service) bool {
	if s.chroot == "-" {
		level, _, _ := strings.Cut(p.params["compatibility_level"], ".")
		n, err := strconv.Atoi(level)
		return err == nil && n < 1
	}
	return s.chroot == "y"
}

// oneTransaction says that the old queue manager runs, which reads all recipients of a message at once.
func (p Postfix) oneTransaction() bool { return p.services["qmgr/unix"].command == "oqmgr" }
