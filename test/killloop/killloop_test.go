package killloop

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
)

// setting is a number that the environment gives, or else.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv("SMTPFEED_KILLLOOP_" + name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "SMTPFEED_KILLLOOP_%s is a number", name)
	return n
}

// ledgers are the ledgers that rounds are run with.
func ledgers() []string {
	if os.Getenv("SMTPFEED_KILLLOOP_LEDGER") == "both" {
		return []string{"off", "on"}
	}
	return []string{"on"}
}

func TestKillLoop(t *testing.T) {
	feedd.NeedPostfix(t)
	table := &Table{}
	t.Cleanup(func() { t.Logf("what the rounds came to:\n%s", table) })
	for _, h := range []struct {
		name  string
		start func(*testing.T, *feedd.Daemon) hostMTA
	}{{"Postfix", startPostfix}, {"sendmail", startSendmail}} {
		for _, ledger := range ledgers() {
			t.Run(h.name+", ledger "+ledger, func(t *testing.T) {
				l := startLoop(t, map[string]feedd.Ledger{"on": feedd.KeepLedger, "off": feedd.NoLedger}[ledger], h.start)
				for i := range setting(t, "ROUNDS", Kinds) {
					one(t, l, table, ledger, setting(t, "FROM", 0)+i*setting(t, "STEP", 1))
				}
				l.end(t)
			})
		}
	}
}

// one does round n.
func one(t *testing.T, l *loop, table *Table, ledger string, n int) {
	t.Helper()
	began := time.Now()
	plan := Plan(uint64(setting(t, "SEED", 1)), n, perTransaction)
	v, sum := l.round(t, plan)
	table.Add(l.host.Name(), ledger, plan, sum.processes, v)
	var twice []string
	for _, c := range Causes {
		twice = append(twice, fmt.Sprintf("%d %s", v.Count(c), c))
	}
	t.Logf("round %d, %v: %d recipients, %d processes killed, twice: %s; %v", n, plan.Strikes, v.Recipients, sum.processes,
		strings.Join(twice, ", "), time.Since(began).Round(time.Millisecond))
	assert.Empty(t, v.Missing, "nobody is missing")
	assert.Empty(t, v.Wrong, "nothing happens that must not")
	if ledger == "on" {
		assert.Empty(t, v.Excess(), "nobody gets a mail twice but whose delivery was in flight")
	}
}
