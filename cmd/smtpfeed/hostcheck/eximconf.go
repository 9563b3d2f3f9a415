package hostcheck

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Exim is what an Exim configuration says, as far as it concerns us.
type Exim struct {
	File string // its path, for advice

	main       options
	transports []eximBlock
	retry      []string // first words of the retry rules
}

// options are settings by name. A boolean is "true" or "false".
type options map[string]string

// An eximBlock is one driver instance.
type eximBlock struct {
	name string
	options
}

// ReadExim reads a configuration file, or better what `exim -bP config` printed, where macros and .include are worked out.
// Here macros are replaced and .ifdef is obeyed, for files that are named by hand.
func ReadExim(text string) Exim {
	e := Exim{main: options{}}
	if _, file, ok := strings.Cut(text, "\n# 1 \""); ok { // where -bP config says that it begins
		e.File, _, _ = strings.Cut(file, `"`)
	}
	section := "main"
	for _, line := range eximLines(text) {
		word, rest, _ := strings.Cut(line, " ")
		switch name, isBlock := strings.CutSuffix(line, ":"); {
		case word == "begin":
			section = strings.TrimSpace(rest)
		case section == "main":
			e.main.set(line)
		case section == "transports" && isBlock && !strings.Contains(name, " "):
			e.transports = append(e.transports, eximBlock{name, options{}})
		case section == "transports" && len(e.transports) > 0:
			e.transports[len(e.transports)-1].set(line)
		case section == "retry":
			e.retry = append(e.retry, word)
		}
	}
	return e
}

// eximLines returns the logical lines: trimmed, continued ones joined, without comments, macros replaced, conditions obeyed.
func eximLines(text string) []string {
	var lines []string
	c := eximConditions{macros: map[string]string{}}
	var joined strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || line == "" && joined.Len() == 0 {
			continue
		}
		if before, ok := strings.CutSuffix(line, `\`); ok {
			joined.WriteString(before)
			continue
		}
		joined.WriteString(line)
		if line = c.resolve(joined.String()); line != "" {
			lines = append(lines, line)
		}
		joined.Reset()
	}
	return lines
}

// eximConditions are macros and the .ifdef around a line.
type eximConditions struct {
	macros map[string]string
	names  []string // of the macros, the longest first
	off    []bool   // of each open .ifdef: are its lines left out
}

// mostMacros bounds the work: a file may be hostile.
const mostMacros = 1000

// resolve returns a line with macros replaced, or "" for a line that only told something about macros or is left out.
func (c *eximConditions) resolve(line string) string {
	word, rest, _ := strings.Cut(line, " ")
	_, known := c.macros[strings.TrimSpace(rest)]
	switch last := len(c.off) - 1; {
	case word == ".ifdef":
		c.off = append(c.off, !known)
	case word == ".ifndef":
		c.off = append(c.off, known)
	case word == ".else" && last >= 0:
		c.off[last] = !c.off[last]
	case word == ".endif" && last >= 0:
		c.off = c.off[:last]
	case strings.HasPrefix(word, ".") || slices.Contains(c.off, true):
	case word != "" && word[0] >= 'A' && word[0] <= 'Z' && strings.Contains(rest, "="):
		_, value, _ := assignment(line)
		c.define(strings.TrimRight(word, "="), c.replace(value))
	default:
		return c.replace(line)
	}
	return ""
}

// define makes a macro, or changes one.
func (c *eximConditions) define(name, value string) {
	if _, known := c.macros[name]; !known {
		if len(c.names) == mostMacros {
			return
		}
		at := slices.IndexFunc(c.names, func(n string) bool { return len(n) < len(name) })
		if at < 0 {
			at = len(c.names)
		}
		c.names = slices.Insert(c.names, at, name)
	}
	c.macros[name] = value
}

// replace puts in the values of macros, the longest names first. What grows without bound is cut.
func (c *eximConditions) replace(line string) string {
	const most = 16 << 10
	for _, name := range c.names {
		if strings.Count(line, name)*len(c.macros[name]) > most {
			return ""
		}
		line = strings.ReplaceAll(line, name, c.macros[name])
	}
	return line[:min(len(line), most)]
}

// set takes "name = value", "name", "no_name" or "not_name", each perhaps behind "hide".
func (o options) set(line string) {
	line = strings.TrimPrefix(line, "hide ")
	if name, value, ok := assignment(line); ok {
		o[name] = strings.Trim(value, `"`)
		return
	}
	for _, no := range []string{"no_", "not_"} {
		if name, ok := strings.CutPrefix(line, no); ok {
			o[name] = "false"
			return
		}
	}
	o[line] = "true"
}

// yes says that a boolean is set.
func (o options) yes(name string) bool {
	return o[name] == "true" || o[name] == "yes"
}

// number is a numeric setting, as "50M"; other is its default.
func (o options) number(name string, other int64) int64 {
	text, shift := strings.ToUpper(o[name]), 0
	for i, unit := range []string{"K", "M", "G"} {
		if digits, ok := strings.CutSuffix(text, unit); ok {
			text, shift = digits, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(text, 0, 32)
	if err != nil || n < 0 {
		return other
	}
	return n << shift
}

// length is a time setting; other is its default.
func (o options) length(name string, other time.Duration) time.Duration {
	if d, ok := parseLength(o[name]); ok {
		return d
	}
	return other
}
