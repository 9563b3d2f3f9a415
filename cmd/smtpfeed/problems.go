package main

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// A Problem is one thing wrong in a configuration file, and where.
type Problem struct {
	File         string
	Line, Column int    // from 1; 0 when unknown
	Key          string // "smtp.sessions"; "" when the syntax is broken
	Reason       string // what is wrong and, where that is clear, what to write instead
}

// String is "smtpfeed.toml:12:1: smtp.sessions: must be at least 1".
func (p Problem) String() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	if p.Key == "" {
		return where + ": " + p.Reason
	}
	return where + ": " + p.Key + ": " + p.Reason
}

// Problems is everything wrong in a configuration file, as one error with a line for each.
type Problems []Problem

// Error is the problems, a line each.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// decodeProblems turns what the TOML library said into Problems.
func decodeProblems(name string, text []byte, err error) Problems {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		return unknownKeys(name, text, unknown)
	}
	p := Problem{File: name, Reason: plainReason(err)}
	var at *toml.DecodeError
	if errors.As(err, &at) {
		p.Line, p.Column = at.Position()
		p.Key = strings.Join(at.Key(), ".")
	} else {
		p.Line, p.Column = lineOf(text), 1
		p.Key = firstKey(text, p.Line)
	}
	return Problems{p}
}

// firstKey is the key that a line begins with; "" is none.
func firstKey(text []byte, line int) (first string) {
	column := 0
	for key, at := range positions(text) {
		if at.line == line && (first == "" || at.column < column) {
			first, column = key, at.column
		}
	}
	return first
}

// plainReason is the library's message without its own name and without the names of Go types, which tell an operator nothing.
func plainReason(err error) string {
	s := strings.TrimPrefix(err.Error(), "toml: ")
	if what, ok := strings.CutPrefix(s, "cannot decode TOML "); ok {
		what, goType, _ := strings.Cut(what, " into")
		return "a value of type " + what + " does not belong here" + wanted(goType[strings.LastIndexByte(goType, ' ')+1:])
	}
	if what, _, ok := strings.Cut(s, " cannot be stored in "); ok {
		return what + " is out of range"
	}
	if what, ok := strings.CutPrefix(s, "cannot store a"); ok {
		what, _, _ = strings.Cut(what, " in a")
		return "a" + what + " does not belong here"
	}
	return s
}

// wanted says how to write a value that a Go type takes.
func wanted(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return `; write a list, as ["..."]`
	case goType == "bool":
		return "; write true or false"
	case strings.Contains(goType, "int"):
		return "; write a number"
	case goType == "string":
		return `; write a text, as "..."`
	}
	return ""
}

// lineOf finds the line of a value error to which the library gave no position (a bare number where text is expected). Decoding
// goes from top to bottom, so the first beginning of the file that shows such an error ends at the line in question.
func lineOf(text []byte) int {
	lines := strings.SplitAfter(string(text), "\n")
	return 1 + sort.Search(len(lines)-1, func(i int) bool {
		c := defaults()
		err := toml.Unmarshal([]byte(strings.Join(lines[:i+1], "")), &c)
		var at *toml.DecodeError
		return err != nil && !errors.As(err, &at)
	})
}

// unknownKeys makes a Problem of every key and section the configuration does not have. The library gets the place right and,
// in inline tables, the name wrong; so the name is looked up by the place.
func unknownKeys(name string, text []byte, unknown *toml.StrictMissingError) Problems {
	names := map[position]string{}
	number := regexp.MustCompile(`^(route|verp|tls\.destination)\.\d+`)
	for key, at := range positions(text) {
		names[at] = number.ReplaceAllString(key, "$1")
	}
	var p Problems
	for i := range unknown.Errors {
		line, column := unknown.Errors[i].Position()
		key := names[position{line, column}]
		p = append(p, Problem{File: name, Line: line, Column: column, Reason: "unknown key " + key + suggestion(key)})
	}
	return p
}

// suggestion is "; did you mean sessions?", or "" when no known key resembles key.
func suggestion(key string) string {
	section, word := "", key
	if len(key) > 80 {
		return ""
	}
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		section, word = key[:i], key[i+1:]
	}
	best, elsewhere, distance := "", "", len(word)/3+2
	for _, known := range knownKeys(reflect.TypeFor[Config](), "") {
		home, last := "", known
		if i := strings.LastIndexByte(known, '.'); i >= 0 {
			home, last = known[:i], known[i+1:]
		}
		if home != section && last == word {
			elsewhere = known
		}
		if d := editDistance(word, last); home == section && d < distance {
			best, distance = last, d
		}
	}
	// The same word in another section is a better guess than a word that only resembles it, but for one letter.
	if elsewhere != "" && distance > 1 {
		best = elsewhere
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// knownKeys lists the keys of a section type and of the sections in it, dotted, in the order of their fields.
func knownKeys(t reflect.Type, prefix string) []string {
	var keys []string
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if tag == "" {
			continue
		}
		keys = append(keys, prefix+tag)
		inner := f.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			keys = append(keys, knownKeys(inner, prefix+tag+".")...)
		}
	}
	return keys
}

// editDistance is how many letters must be inserted, deleted or replaced to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
