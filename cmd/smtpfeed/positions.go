package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// A position is where a key stands in the file.
type position struct{ line, column int }

// locate gives problems found by their key the line of that key in the text. Elements of [[route]] are told apart by number:
// "route.2.hosts". What does not stand in the text (a default that does not fit another value) keeps line 0.
func locate(name string, text []byte, problems []Problem) Problems {
	if len(problems) == 0 {
		return nil
	}
	at := positions(text)
	for i := range problems {
		p := &problems[i]
		p.File = name
		p.Line, p.Column = at[p.Key].line, at[p.Key].column
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return a.Line - b.Line })
	return problems
}

// positions maps every key of a document that decoded without error to where it stands.
func positions(text []byte) map[string]position {
	at := map[string]position{}
	count := map[string]int{} // sections that may stand there as often as needed, so far
	section := ""
	var p unstable.Parser
	p.Reset(text)
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			section, _ = keyOf(&p, e, "", at)
			if section == "route" || section == "verp" || section == "tls.destination" {
				name := section
				count[name]++
				section = fmt.Sprintf("%s.%d", name, count[name])
				at[section] = at[name]
			}
		case unstable.KeyValue:
			keysOf(&p, e, section, at)
		}
	}
	return at
}

// keysOf notes a key and, when its value is an inline table, the keys in it.
func keysOf(p *unstable.Parser, e *unstable.Node, section string, at map[string]position) {
	key, value := keyOf(p, e, section, at)
	switch value.Kind {
	case unstable.InlineTable:
		fieldsOf(p, value, key, at)
	case unstable.Array:
		element := value.Children()
		for n := 1; element.Next(); n++ {
			if element.Node().Kind == unstable.InlineTable {
				fieldsOf(p, element.Node(), fmt.Sprintf("%s.%d", key, n), at)
			}
		}
	}
}

// fieldsOf notes the keys of an inline table.
func fieldsOf(p *unstable.Parser, table *unstable.Node, section string, at map[string]position) {
	for field := table.Children(); field.Next(); {
		keysOf(p, field.Node(), section, at)
	}
}

// keyOf notes where the key of an expression stands, and returns it dotted and in lower case (the library takes either case)
// with its value; the value of a section's header is e itself.
func keyOf(p *unstable.Parser, e *unstable.Node, section string, at map[string]position) (string, *unstable.Node) {
	key := section
	var first unstable.Range
	for it := e.Key(); it.Next(); {
		if first.Length == 0 {
			first = it.Node().Raw
		}
		if key != "" {
			key += "."
		}
		key += strings.ToLower(string(it.Node().Data))
	}
	start := p.Shape(first).Start
	at[key] = position{start.Line, start.Column}
	if e.Kind != unstable.KeyValue {
		return key, e
	}
	return key, e.Value()
}
