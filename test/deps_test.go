// Package test holds the simulated worlds and the tests that concern the whole project; this file keeps the import rules.
package test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/smtpfeed/smtpfeed"

// allowed is, per package of ours, which of our packages it may import besides itself.
var allowed = map[string][]string{
	"feed/wire":           {},
	"resolver/prohibited": {},
	"resolver/sts":        {"resolver/prohibited"},
	"resolver":            {"resolver/sts"},
	"feed/dane":           {"resolver"},
	"feed/dsn":            {"feed/wire"},
	"feed/tlsrpt":         {"feed", "feed/wire"},
	"feed":                {"feed/wire", "feed/dane", "resolver", "resolver/prohibited", "resolver/sts"},
	"feed/ledger":         {"feed", "feed/wire"},
	"lmtp":                {"feed", "feed/wire", "resolver"},
	"cmd/smtpfeed":        {"feed", "feed/dsn", "feed/ledger", "feed/tlsrpt", "feed/wire", "resolver", "resolver/sts", "lmtp", "cmd/smtpfeed/hostcheck"},

	"cmd/smtpfeed/hostcheck": {},
}

// only is where a library may be used, besides in tests.
var only = map[string][]string{
	"github.com/emersion/go-smtp":         {"lmtp"},
	"github.com/emersion/go-sasl":         {"feed"},
	"github.com/miekg/dns":                {"resolver", "test/dnssim", "test/internet"},
	"go.etcd.io/bbolt":                    {"feed/ledger"},
	"github.com/prometheus/client_golang": {"cmd/smtpfeed"},
	"github.com/pelletier/go-toml/v2":     {"cmd/smtpfeed"},
	"github.com/alecthomas/kong":          {"cmd/smtpfeed"},
	"github.com/coreos/go-systemd/v22":    {"cmd/smtpfeed"},
	"github.com/stretchr/testify":         {"test/feedd"},
	"github.com/rogpeppe/go-internal":     {},
	"golang.org/x/net/idna":               {"resolver"},
	"net/textproto":                       {},
	module + "/test":                      {"test"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	require.NoError(t, err)
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		require.NoError(t, dec.Decode(&p))
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, imported := range p.Imports {
			checkImport(t, name, imported)
		}
	}
}

func checkImport(t *testing.T, name, imported string) {
	ours, isOurs := strings.CutPrefix(imported, module+"/")
	if list, ruled := allowed[name]; ruled && isOurs {
		assert.Contains(t, list, ours, "%s may import only %v of ours", name, list)
	}
	if name == "feed/wire" {
		assert.NotContains(t, imported, ".", "feed/wire imports the standard library only")
	}
	for library, users := range only {
		if imported != library && !strings.HasPrefix(imported, library+"/") {
			continue
		}
		user := func(u string) bool { return name == u || strings.HasPrefix(name, u+"/") }
		assert.True(t, slices.ContainsFunc(users, user), "%s imports %s, which only %v may", name, imported, users)
	}
}

// TestLocks: mutexes are allowed in feed nowhere.
func TestLocks(t *testing.T) {
	out, err := exec.Command("sh", "-c", "grep -nE 'sync\\.(RW)?Mutex' $(ls ../feed/*.go | grep -v _test.go)").CombinedOutput()
	assert.Empty(t, string(out), "one goroutine owns the state of feed; nothing there is locked (grep: %v)", err)
}
