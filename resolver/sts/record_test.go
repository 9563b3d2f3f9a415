package sts

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseRecord(t *testing.T) {
	cases := []struct {
		rule  string
		texts []string
		id    string // "" is not ok
	}{
		{"the example of RFC 8461 appendix A", []string{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z"},
		{"no semicolon at the end", []string{"v=STSv1; id=1"}, "1"},
		{"no space", []string{"v=STSv1;id=1;"}, "1"},
		{"WSP around the semicolon", []string{"v=STSv1; \t id=1 \t; \t"}, "1"},
		{"other records are ignored", []string{"v=spf1 -all", "v=STSv1; id=1", "", "v=TLSRPTv1; rua=mailto:a@b"}, "1"},
		{"extensions are ignored", []string{"v=STSv1; a=b; id=1; x-y_z.0=!~"}, "1"},
		{"of two ids the first", []string{"v=STSv1; id=1; id=2"}, "1"},
		{"letters of both cases", []string{"v=STSv1; id=aZ09"}, "aZ09"},
		{"32 characters", []string{"v=STSv1; id=" + strings.Repeat("a", 32)}, strings.Repeat("a", 32)},

		{"no record", nil, ""},
		{"two records", []string{"v=STSv1; id=1", "v=STSv1; id=1"}, ""},
		{"the version must be first", []string{"id=1; v=STSv1;"}, ""},
		{"the version has a case", []string{"V=STSv1; id=1"}, ""},
		{"another version", []string{"v=STSv2; id=1"}, ""},
		{"a semicolon must follow at once", []string{"v=STSv1 ; id=1"}, ""},
		{"a space in front", []string{" v=STSv1; id=1"}, ""},
		{"only a version", []string{"v=STSv1;"}, ""},
		{"no id", []string{"v=STSv1; a=b"}, ""},
		{"an empty id", []string{"v=STSv1; id="}, ""},
		{"33 characters", []string{"v=STSv1; id=" + strings.Repeat("a", 33)}, ""},
		{"an id with a hyphen", []string{"v=STSv1; id=2016-08"}, ""},
		{"an id in quotes", []string{`v=STSv1; id="1"`}, ""},
		{"space around the equals sign", []string{"v=STSv1; id = 1"}, ""},
		{"an empty field in between", []string{"v=STSv1;; id=1"}, ""},
		{"an extension without a value", []string{"v=STSv1; id=1; a="}, ""},
		{"an extension without an equals sign", []string{"v=STSv1; id=1; a"}, ""},
		{"an extension with two", []string{"v=STSv1; id=1; a=b=c"}, ""},
		{"an extension with a space", []string{"v=STSv1; id=1; a=b c"}, ""},
		{"an extension's name begins with a letter or digit", []string{"v=STSv1; id=1; -a=b"}, ""},
		{"an extension's name of 33 characters", []string{"v=STSv1; id=1; " + strings.Repeat("a", 33) + "=b"}, ""},
		{"not ASCII", []string{"v=STSv1; id=1; a=\xc3\xa4"}, ""},
		{"a control character", []string{"v=STSv1; id=1; a=b\x00"}, ""},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			id, ok := ParseRecord(c.texts)
			assert.Equal(t, c.id, id, "the id of %q", c.texts)
			assert.Equal(t, c.id != "", ok, "whether %q is a record", c.texts)
		})
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;", "v=spf1 -all")
	f.Add("v=STSv1; a=b; id=1", "v=STSv1;;")
	f.Fuzz(func(t *testing.T, one, two string) {
		id, ok := ParseRecord([]string{one, two})
		assert.Equal(t, ok, id != "", "a record has an id")
		if ok {
			assert.True(t, isID(id), "an id has its syntax: %q", id)
			again, ok := ParseRecord([]string{two, "v=STSv1; id=" + id, one})
			assert.False(t, ok, "one record more is one too many, but %q was found", again)
		}
	})
}
