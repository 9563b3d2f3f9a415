package tlsrpt

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

// A world is what a Reporter sees: the DNS, the host MTA, a directory, a log. Everything is below its mutex.
type world struct {
	*Reporter
	t   *testing.T
	dir string

	mu         sync.Mutex
	log        bytes.Buffer
	zone       map[string][]string // by domain
	dns        error               // of every question
	asked      []string
	mails      []Mail
	mail       error // of every mail
	times      []time.Time
	busy, most int
}

func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func newWorld(t *testing.T) *world {
	return &world{t: t, dir: t.TempDir(), zone: map[string][]string{}}
}

// config is one with everything set.
func (w *world) config() Config {
	return Config{
		Organization: "Example & Söhne <GmbH>", Contact: "tls@sender.test", Hostname: "mx.sender.test", From: "TLS reports <tls@sender.test>",
		Directory: w.dir, Texts: w.texts, Mail: w.send, Log: slog.New(slog.NewTextHandler(w, nil)),
	}
}

func (w *world) open(c Config) *world {
	r, err := Open(c)
	require.NoError(w.t, err, "the Reporter opens")
	w.Reporter = r
	return w
}

func (w *world) shut() {
	require.NoError(w.t, w.Close(w.t.Context()), "the Reporter ends")
}

// restart is a process that ends and another that begins.
func (w *world) restart() {
	w.shut()
	w.open(w.config())
	synctest.Wait()
}

func (w *world) texts(ctx context.Context, name string) ([]string, error) {
	w.mu.Lock()
	w.asked = append(w.asked, name)
	w.busy++
	w.most = max(w.most, w.busy)
	texts, err := w.zone[strings.TrimPrefix(name, recordName)], w.dns
	w.mu.Unlock()
	sleep(ctx, 20*time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	return texts, err
}

func (w *world) send(_ context.Context, m Mail) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.times = append(w.times, time.Now())
	if w.mail != nil {
		return w.mail
	}
	w.mails = append(w.mails, m)
	return nil
}

func (w *world) wants(domain string, texts ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.zone[domain] = texts
}

// fail sets what the DNS and the host MTA answer.
func (w *world) fail(dns, mail error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dns, w.mail = dns, mail
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func (w *world) mailed() []Mail {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.mails)
}

func (w *world) tries() []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.times)
}

// reports are the names of the files that are reports.
func (w *world) reports() (names []string) {
	all, err := filepath.Glob(filepath.Join(w.dir, "*"+reportSuffix))
	require.NoError(w.t, err, "the directory is read")
	for _, f := range all {
		names = append(names, filepath.Base(f))
	}
	return names
}

func (w *world) read(name string) []byte {
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	require.NoError(w.t, err, "%s is read", name)
	return b
}

// pass lets time pass, and all settle. It ends a day's reports when it is longer than Config.Delay.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// observe counts results, and waits until the keeper has.
func (w *world) observe(results ...feed.TLSResult) {
	w.ObserveTLS(results)
	clear(results) // it must not keep the slice
	synctest.Wait()
}

func good(domain string) feed.TLSResult {
	return feed.TLSResult{
		Domain: domain, Policy: feed.PolicyNone, MX: "mx." + domain, Source: netip.MustParseAddr("192.0.2.1"),
		Addr: netip.MustParseAddr("203.0.113.5"),
	}
}

func bad(domain, result, reason string) feed.TLSResult {
	r := good(domain)
	r.Result, r.Reason = result, reason
	return r
}

// sts makes a result one with an MTA-STS policy.
func sts(r feed.TLSResult, patterns ...string) feed.TLSResult {
	r.Policy, r.Patterns = feed.PolicySTS, patterns
	r.Strings = []string{"version: STSv1", "mode: enforce"}
	for _, p := range patterns {
		r.Strings = append(r.Strings, "mx: "+p)
	}
	r.Strings = append(r.Strings, "max_age: 86400")
	return r
}

// tlsa makes a result one with TLSA records.
func tlsa(r feed.TLSResult, records ...string) feed.TLSResult {
	r.Policy, r.Strings = feed.PolicyTLSA, records
	return r
}

const anyDelay = 25 * time.Hour // from some moment to the end of the next midnight's reports

func wanted(address string) string { return fmt.Sprintf("v=TLSRPTv1; rua=mailto:%s", address) }

// bubble runs a test with fake time, which starts at midnight UTC of 2000-01-01.
func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	w := newWorld(t) // outside: its clean-up is the real world's
	synctest.Test(t, func(t *testing.T) {
		w.t = t
		f(t, w)
	})
	assert.NotContains(t, w.logged(), "BUG", "nothing impossible happened")
}
