package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNormal(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a queue id", "250 2.0.0 6AM5x7Pu021470 Message accepted", "250 2.0.0 ID Message accepted"},
		{"times of a control file", "V8\nT1795326647\nK0\nN0\nI254/0/10315163\n", "V8\nSTAMP\nSTAMP\nN0\nSTAMP\n"},
		{"a date", "ID;\n\tSun, 22 Nov 2026 05:39:19 GMT", "ID;\n\tDATE"},
		{"the directory", "Cfile:1:0:</x/run/stock/file>", "Cfile:1:0:<DIR/file>"},
		{"a recipient keeps its digits", "RPFD:<user100000@d99999.hosts.test>", "RPFD:<user100000@d99999.hosts.test>"},
		{"a priority is kept", "P30000082", "P30000082"},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, normal(c.text, "/x/run/stock"), "only what differs between any two runs is replaced")
		})
	}
}

func TestSame(t *testing.T) {
	assert.NoError(t, same("x", "a\nb", "a\nb"), "equal texts are the same")
	assert.ErrorContains(t, same("x", "a\nb", "a\nc"), `line 2: stock "b", patched "c"`, "the first difference is shown")
	assert.ErrorContains(t, same("x", "a", "a\nb"), "stock has 1 lines, patched 2", "a missing line is a difference")
}

func TestMixture(t *testing.T) {
	assert.Equal(t, mixture(7), mixture(7), "a seed gives the same list again")
	assert.NotEqual(t, mixture(7), mixture(8), "another seed gives another list")
}
