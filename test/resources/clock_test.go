package resources

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/hostsim"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// clock is where package runtime hands the time to time.Now, and steppingClock what stands there instead: the wall clock jumps a day ahead
// three seconds after the start of the process, and three seconds later back by two. The monotonic clock runs on, as it does when
// somebody sets a machine's clock.
const (
	clock         = "\treturn time_now()\n}\n"
	steppingClock = `	sec, nsec, mono = time_now()
	switch age := mono - runtimeInitTime; {
	case age > 6e9:
		sec -= 86400
	case age > 3e9:
		sec += 86400
	}
	return sec, nsec, mono
}
`
)

// steppingBinary builds smtpfeed with that clock. Nothing else can give a Go program another wall clock: it asks the kernel's page for
// the time (vdso(7)), where neither a library nor a time namespace comes between.
func steppingBinary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err, "Go is there")
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "runtime", "time.go")
	text, err := os.ReadFile(original)
	require.NoError(t, err, "Go's sources are there")
	require.Equal(t, 1, strings.Count(string(text), clock), "the time is handed over in one place")
	changed := strings.Replace(string(text), clock, steppingClock, 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "time.go"), []byte(changed), 0o600), "there is another clock")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: filepath.Join(dir, "time.go")}})
	require.NoError(t, err, "it can be named")
	file, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "smtpfeed")
	require.NoError(t, os.WriteFile(file, overlay, 0o600), "to the compiler")
	out, err := exec.Command("go", "build", "-overlay", file, "-o", binary, "github.com/smtpfeed/smtpfeed/cmd/smtpfeed").CombinedOutput()
	require.NoError(t, err, "smtpfeed is built with it: %s", out)
	return binary
}

// TestClockSteps lets the wall clock step by a day, forwards and then backwards, while a list is on its way. No wait may end early or
// late by it, and nothing that is remembered may be forgotten.
func TestClockSteps(t *testing.T) {
	if !large() {
		t.Skip("all of Go has to be compiled anew: SMTPFEED_RESOURCES=large does that")
	}
	binary := steppingBinary(t)
	c := internet.Config{Domains: 50, Hosts: 50, RTT: 10 * time.Millisecond, Processing: 400 * time.Millisecond, TTL: 300}
	w := startWorld(t, c)
	p := start(t, setup{binary: binary, dns: w.DNSAddr(), port: w.Port(), lmtp: "budget = \"60s\"", smtp: "recipients_per_transaction = 1\nsessions_per_host = 1"})
	began := time.Now()
	recipients := 0
	for round := 0; time.Since(began) < 8*time.Second; round++ { // lists that span both steps
		m := hostsim.Message{From: "list@sender.test", Body: content(round, 1000)}
		for range 150 {
			m.To = append(m.To, internet.Recipient(recipients, c))
			recipients++
		}
		outcomes, took := p.mustDeliver(t, m)
		t.Logf("list %d answered in %v, %v after the start: %v", round, took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), tally(outcomes))
		require.Equal(t, len(m.To), tally(outcomes)["250 2.0.0"], "no recipient is given up because the clock was set")
	}
	r, s := w.Report(), p.status(t)
	assert.Equal(t, recipients, r.Recipients, "everybody has the mail")
	assert.Zero(t, r.Duplicates.Count, "once")
	assert.Zero(t, s.Feed.Deferred, "nobody had to wait")
	assert.EqualValues(t, 50, r.MX, "what DNS said is neither forgotten nor asked again")
	assert.LessOrEqual(t, s.Feed.DialsFailed, uint64(0), "no dial ended before its time")
	days := map[string]bool{}
	for _, line := range records(t, p.path("deliveries.jsonl")) {
		days[strings.TrimPrefix(line, `{"time":"`)[:10]] = true
	}
	assert.Len(t, days, 3, "the records show the three days that the clock was on: %v", days)
}
