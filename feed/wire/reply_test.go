package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseStatus(t *testing.T) {
	for _, c := range []struct {
		rule, line string
		want       status
		text       string
		bad        bool
	}{
		{"code, blank, text", "250 Ok", status{250, false}, "Ok", false},
		{"a hyphen says that a line follows", "250-Ok", status{250, true}, "Ok", false},
		{"a bare code is a reply", "250", status{250, false}, "", false},
		{"a code and a blank is a reply", "250 ", status{250, false}, "", false},
		{"a code and a hyphen is a line", "250-", status{250, true}, "", false},
		{"unknown but well-formed 299", "299 x", status{299, false}, "x", false},
		{"unknown but well-formed 458", "458 x", status{458, false}, "x", false},
		{"unknown but well-formed 571", "571 x", status{571, false}, "x", false},
		{"3yz is a reply", "399 go", status{399, false}, "go", false},
		{"only one blank belongs to the code", "250   x", status{250, false}, "  x", false},
		{"1yz was withdrawn", "150 x", status{}, "", true},
		{"6yz does not exist", "699 x", status{}, "", true},
		{"850 does not exist", "850 x", status{}, "", true},
		{"099 does not exist", "099 x", status{}, "", true},
		{"a sign is no digit", "-50 x", status{}, "", true},
		{"a plus is no digit", "+50 x", status{}, "", true},
		{"four digits", "2200 x", status{}, "", true},
		{"a letter in the code", "22X OK", status{}, "", true},
		{"text glued to the code", "220OK", status{}, "", true},
		{"a tab is no separator", "220\tOK", status{}, "", true},
		{"an underscore is no separator", "220_OK", status{}, "", true},
		{"a leading blank", " 250 Ok", status{}, "", true},
		{"an empty line", "", status{}, "", true},
		{"too short", "25", status{}, "", true},
		{"another protocol", "SSH-2.0-OpenSSH_9.2", status{}, "", true},
		{"HTTP", "HTTP/1.1 400 Bad Request", status{}, "", true},
		{"full-width digits are none", "２５０ Ok", status{}, "", true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, text, reason := parseStatus([]byte(c.line))
			assert.Equal(t, c.bad, reason != "", "the line is a reply line or not: %q", reason)
			assert.Equal(t, c.want.code*btoi(!c.bad), got.code*btoi(!c.bad), "the code is read")
			assert.Equal(t, c.want.more, got.more, "the separator is read")
			assert.Equal(t, c.text, string(text), "the text is what follows the separator")
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestCutEnhanced(t *testing.T) {
	for _, c := range []struct {
		rule, text string
		code       int
		want       Enhanced
		rest       string
	}{
		{"code and text", "5.1.1 no such user", 550, Enhanced{5, 1, 1}, "no such user"},
		{"code alone", "2.1.5", 250, Enhanced{2, 1, 5}, ""},
		{"code and a blank", "2.1.5 ", 250, Enhanced{2, 1, 5}, ""},
		{"a tab behind it", "2.1.5\tOk", 250, Enhanced{2, 1, 5}, "Ok"},
		{"three digits each", "4.999.999 x", 451, Enhanced{4, 999, 999}, "x"},
		{"leading zeros are the same number", "5.01.001 x", 550, Enhanced{5, 1, 1}, "x"},
		{"zero subject and detail", "2.0.0 x", 250, Enhanced{2, 0, 0}, "x"},
		{"450 with 5.x.x: the code decides", "5.1.1 x", 450, Enhanced{}, "5.1.1 x"},
		{"550 with 4.x.x: the code decides", "4.1.1 x", 550, Enhanced{}, "4.1.1 x"},
		{"class 3 does not exist", "3.1.1 x", 354, Enhanced{}, "3.1.1 x"},
		{"four digits", "5.1.1000 x", 550, Enhanced{}, "5.1.1000 x"},
		{"four digits in the subject", "5.1000.1 x", 550, Enhanced{}, "5.1000.1 x"},
		{"an IP address", "5.1.1.1 x", 550, Enhanced{}, "5.1.1.1 x"},
		{"a letter behind it", "5.1.1x", 550, Enhanced{}, "5.1.1x"},
		{"a comma behind it", "5.1.1, x", 550, Enhanced{}, "5.1.1, x"},
		{"no detail", "5.1. x", 550, Enhanced{}, "5.1. x"},
		{"no subject", "5..1 x", 550, Enhanced{}, "5..1 x"},
		{"two parts", "5.1 x", 550, Enhanced{}, "5.1 x"},
		{"a class of two digits", "55.1.1 x", 550, Enhanced{}, "55.1.1 x"},
		{"a blank before it", " 5.1.1 x", 550, Enhanced{}, " 5.1.1 x"},
		{"a sign", "5.-1.1 x", 550, Enhanced{}, "5.-1.1 x"},
		{"empty", "", 550, Enhanced{}, ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			got, rest := cutEnhanced([]byte(c.text), c.code)
			assert.Equal(t, c.want, got, "the enhanced code is that of the text, or none")
			assert.Equal(t, c.rest, string(rest), "what is no enhanced code stays in the text")
		})
	}
}

func TestEnhancedString(t *testing.T) {
	assert.Equal(t, "5.1.1", Enhanced{5, 1, 1}.String(), "class, subject and detail are joined by dots")
	assert.Equal(t, "4.999.0", Enhanced{4, 999, 0}.String(), "zero is a number like others")
	assert.Empty(t, Enhanced{}.String(), "the zero value says nothing")
}

func TestReplyString(t *testing.T) {
	for _, c := range []struct {
		rule  string
		reply Reply
		want  string
	}{
		{"the zero reply is silent", Reply{}, ""},
		{"code only", Reply{Code: 250}, "250"},
		{"code and text", Reply{Code: 250, Text: "Ok"}, "250 Ok"},
		{"the enhanced code stands once", Reply{550, Enhanced{5, 1, 1}, "no such user"}, "550 5.1.1 no such user"},
		{"enhanced code without text", Reply{250, Enhanced{2, 1, 5}, ""}, "250 2.1.5"},
		{"lines are joined by one space", Reply{550, Enhanced{5, 7, 1}, "go\naway"}, "550 5.7.1 go away"},
		{"empty lines leave no blanks", Reply{550, Enhanced{}, "go\n\naway\n"}, "550 go away"},
		{"a terminal escape cannot act", Reply{550, Enhanced{}, "\x1b[2Jx"}, "550 ?[2Jx"},
		{"NUL, CR and 8-bit are cleaned", Reply{550, Enhanced{}, "a\x00b\rc\xc3\xa9d"}, "550 a?b c?d"},
		{"blanks around the text go", Reply{250, Enhanced{}, "  Ok "}, "250 Ok"},
		{"only blanks are no text", Reply{250, Enhanced{}, " \n "}, "250"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			assert.Equal(t, c.want, c.reply.String(), "the reply is one clean line")
		})
	}
	long := Reply{550, Enhanced{5, 1, 1}, strings.Repeat("x", 5000)}.String()
	assert.Len(t, long, 400, "a long reply is cut at 400 octets")
	assert.True(t, strings.HasPrefix(long, "550 5.1.1 xxx"), "the beginning of a long reply stays")
}
