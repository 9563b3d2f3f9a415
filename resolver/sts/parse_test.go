package sts

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// rfcExample is the policy of RFC 8461 section 3.2.
const rfcExample = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n"

func TestParsePolicyExample(t *testing.T) {
	p, err := ParsePolicy("example.com", "20160831085700Z", []byte(rfcExample), noon)
	require.NoError(t, err, "the RFC's policy is one")
	assert.Equal(t, &Policy{
		Domain: "example.com", ID: "20160831085700Z", Mode: Enforce,
		MX:     []string{"mail.example.com", "*.example.net", "backupmx.example.com"},
		MaxAge: 7 * 24 * time.Hour, Expires: noon.Add(7 * 24 * time.Hour),
		Text: []string{"version: STSv1", "mode: enforce", "mx: mail.example.com", "mx: *.example.net", "mx: backupmx.example.com", "max_age: 604800"},
	}, p, "every field is read")
}

func TestParsePolicyAccepts(t *testing.T) {
	const rest = "mode: testing\nmx: a.b\nmax_age: 60\n"
	cases := []struct {
		rule, body string
		mode       Mode
		mx         []string
		age        time.Duration
	}{
		{"LF alone", "version: STSv1\n" + rest, Testing, []string{"a.b"}, time.Minute},
		{"no end of the last line", "version: STSv1\nmode: none\nmax_age: 1", None, nil, time.Second},
		{"any order", rest + "version: STSv1", Testing, []string{"a.b"}, time.Minute},
		{"no space behind the colon", "version:STSv1\nmode:enforce\nmx:a.b\nmax_age:60", Enforce, []string{"a.b"}, time.Minute},
		{"WSP behind colon and value", "version: \t STSv1 \t\r\nmode:\tenforce\nmx: \ta.b \nmax_age:  60 ", Enforce, []string{"a.b"}, time.Minute},
		{"blank lines", "\r\nversion: STSv1\n\n" + rest + "\n \n", Testing, []string{"a.b"}, time.Minute},
		{"unknown fields", "version: STSv1\nx: y\nX-9._: a:b=c; ä\n" + rest, Testing, []string{"a.b"}, time.Minute},
		{"the first of equal fields", "version: STSv1\nmode: enforce\nmax_age: 5\nversion: STSv2\n" + rest, Enforce, []string{"a.b"}, 5 * time.Second},
		{"no mx in mode none", "version: STSv1\nmode: none\nmax_age: 86400", None, nil, 24 * time.Hour},
		{"mx in mode none", "version: STSv1\nmode: none\nmax_age: 86400\nmx: a.b", None, []string{"a.b"}, 24 * time.Hour},
		{"mx in lower case", "version: STSv1\nmode: enforce\nmx: *.Example.COM\nmax_age: 60", Enforce, []string{"*.example.com"}, time.Minute},
		{"mx with A-labels", "version: STSv1\nmode: enforce\nmx: mx.xn--bcher-kva.example\nmax_age: 60", Enforce, []string{"mx.xn--bcher-kva.example"}, time.Minute},
		{"max_age 0", "version: STSv1\nmode: none\nmax_age: 0", None, nil, 0},
		{"max_age is at most a year", "version: STSv1\nmode: none\nmax_age: 9999999999", None, nil, 31557600 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			p, err := ParsePolicy("example.com", "1", []byte(c.body), noon)
			require.NoError(t, err, "%q is a policy", c.body)
			assert.Equal(t, c.mode, p.Mode, "the mode is read")
			assert.Equal(t, c.mx, p.MX, "the patterns are read")
			assert.Equal(t, c.age, p.MaxAge, "max_age is read")
			assert.Equal(t, noon.Add(c.age), p.Expires, "it expires in max_age")
		})
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	with := func(line string) string { return "version: STSv1\nmode: enforce\nmx: a.b\nmax_age: 60\n" + line }
	mx := func(value string) string { return with("mx: " + value) }
	cases := []struct{ rule, body, reason string }{
		{"nothing", "", `version ""`},
		{"HTML", "<!DOCTYPE html>\n<html></html>", "line 1: not a key and a value"},
		{"no version", "mode: none\nmax_age: 60", `version ""`},
		{"another version", "version: STSv2\nmode: none\nmax_age: 60", `version "STSv2"`},
		{"the version has a case", "version: stsv1\nmode: none\nmax_age: 60", `version "stsv1"`},
		{"keys have a case", "Version: STSv1\nmode: none\nmax_age: 60", `version ""`},
		{"no mode", "version: STSv1\nmax_age: 60", `mode ""`},
		{"modes have a case", "version: STSv1\nmode: Enforce\nmx: a.b\nmax_age: 60", `mode "Enforce"`},
		{"no max_age", "version: STSv1\nmode: none", `max_age ""`},
		{"a negative max_age", "version: STSv1\nmode: none\nmax_age: -1", `max_age "-1"`},
		{"a fraction", "version: STSv1\nmode: none\nmax_age: 1.5", `max_age "1.5"`},
		{"a unit", "version: STSv1\nmode: none\nmax_age: 1d", `max_age "1d"`},
		{"11 digits", "version: STSv1\nmode: none\nmax_age: 00000000060", `max_age "00000000060"`},
		{"no mx in mode enforce", "version: STSv1\nmode: enforce\nmax_age: 60", "no mx in mode enforce"},
		{"no mx in mode testing", "version: STSv1\nmode: testing\nmax_age: 60", "no mx in mode testing"},
		{"no colon", with("mx"), "line 5: not a key and a value"},
		{"a key with a space", with("m x: a.b"), "line 5: not a key and a value"},
		{"a space in front", with(" mx: a.b"), "line 5: not a key and a value"},
		{"a byte order mark", "\ufeff" + with(""), "line 1: not a key and a value"},
		{"a bare CR", with("x: a\rb"), "line 5: control characters or not UTF-8"},
		{"NUL", with("x: a\x00b"), "line 5: control characters or not UTF-8"},
		{"not UTF-8", with("x: a\xffb"), "line 5: control characters or not UTF-8"},
		{"an empty pattern", mx(""), `line 5: mx "" is not a host name`},
		{"a star alone", mx("*"), `line 5: mx "*" is not a host name`},
		{"a star in a label", mx("mx*.a.b"), `line 5: mx "mx*.a.b" is not a host name`},
		{"two stars", mx("*.*.a.b"), `line 5: mx "*.*.a.b" is not a host name`},
		{"a dot in front, as in drafts", mx(".a.b"), `line 5: mx ".a.b" is not a host name`},
		{"a dot at the end", mx("a.b."), `line 5: mx "a.b." is not a host name`},
		{"an underscore", mx("a_b.c"), `line 5: mx "a_b.c" is not a host name`},
		{"U-labels", mx("bücher.example"), `line 5: mx "b??cher.example" is not a host name`},
		{"an IPv6 address", mx("[2001:db8::1]"), `line 5: mx "[2001:db8::1]" is not a host name`},
		{"two names", mx("a.b, c.d"), `line 5: mx "a.b, c.d" is not a host name`},
		{"a label of 64 octets", mx(strings.Repeat("a", 64) + ".b"), `line 5: mx "` + strings.Repeat("a", 64) + `.b" is not a host name`},
		{"a hyphen in front", mx("-a.b"), `line 5: mx "-a.b" is not a host name`},
		{"too many patterns", with(strings.Repeat("mx: c.d\n", maxMX)), "line 260: more than 256 mx"},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			p, err := ParsePolicy("example.com", "1", []byte(c.body), noon)
			assert.Nil(t, p, "it is no policy")
			var e *Error
			require.True(t, errors.As(err, &e), "the error is an *Error, not %v", err)
			assert.Equal(t, &Error{"example.com", PolicyInvalid, c.reason}, e, "the error says why")
		})
	}
}

// TestParsePolicyText: reports show the policy, and a policy host cannot fill memory or a terminal by them.
func TestParsePolicyText(t *testing.T) {
	body := "x-1: a\x1b[31m"
	_, err := ParsePolicy("a.b", "1", []byte(body), noon)
	require.Error(t, err, "an escape sequence is no policy")

	body = rfcExample + "note:\tgrüße\n" + strings.Repeat("x: "+strings.Repeat("y", 500)+"\n", 100) + "version: " + strings.Repeat("z", 9000)
	p, err := ParsePolicy("a.b", "1", []byte(body), noon)
	require.NoError(t, err, "unknown fields are ignored, however many")
	assert.Equal(t, "note: gr????e", p.Text[6], "a line is kept in printable ASCII")
	assert.Len(t, p.Text, 11, "of unknown lines 2 KiB are kept, of repeated ones none")
	again, err := ParsePolicy("a.b", "1", []byte(strings.Join(p.Text, "\n")), noon)
	require.NoError(t, err, "the text is a policy")
	assert.Equal(t, p, again, "and the same one")
	assert.Less(t, p.size(), 4<<10, "so it stays small")
}

// TestParsePolicyLargest: the largest policy that is accepted has its text whole.
func TestParsePolicyLargest(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("version: STSv1\nmode: enforce\nmax_age: 60\n")
	for i := range maxMX {
		fmt.Fprintf(&b, "mx: mx%d.example.com\n", i)
	}
	p, err := ParsePolicy("a.b", "1", b.Bytes(), noon)
	require.NoError(t, err, "256 patterns are accepted")
	assert.Len(t, p.Text, maxMX+3, "and reported")
	assert.True(t, p.Matches("mx255.example.com"), "and the last one counts")
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(rfcExample))
	f.Add([]byte("version:STSv1\nmode:\tnone \n\nmax_age:0\nx: ä\nx:"))
	f.Add([]byte("mode: testing\nmx: *.a\nversion: STSv1\r\nmax_age: 9999999999\nmode: none"))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := ParsePolicy("example.com", "1", body, noon)
		if err != nil {
			assert.Nil(t, p, "an error is no policy")
			assert.LessOrEqual(t, len(err.Error()), maxReason+40, "an error is short")
			assert.Equal(t, printable(err.Error()), err.Error(), "and can be written to a terminal")
			return
		}
		assert.True(t, p.MaxAge >= 0 && p.MaxAge <= maxAge, "max_age %v is in its bounds", p.MaxAge)
		assert.True(t, p.Mode == None || len(p.MX) > 0, "mode %v has patterns", p.Mode)
		assert.LessOrEqual(t, len(p.MX), maxMX, "the patterns are bounded")
		for _, mx := range p.MX {
			assert.True(t, p.Matches(strings.Replace(mx, "*", "x", 1)), "a pattern matches its name: %q", mx)
		}
		again, err := ParsePolicy("example.com", "1", []byte(strings.Join(p.Text, "\n")), noon)
		require.NoError(t, err, "the text of a policy is one: %q", p.Text)
		assert.Equal(t, p, again, "and the same one")
	})
}
