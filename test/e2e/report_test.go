package e2e

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed/tlsrpt"
	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// An accounted is a domain whose exchangers have mail on two runs of smtpfeed, and what it is told of that.
type accounted struct {
	domain   string
	record   string // its TXT record for reports, as a zone file has it; "" is none
	mx       string // names of exchangers: the first one gets the mail to which no policy applies
	policies string // of the report, as JSON in which words in capitals stand for what is known later; "" is no report
	to       []string
}

var accounts = []accounted{
	{"good", `"v=TLSRPTv1; rua=mailto:reports@good.test,mailto:tls@none.test"`, "good",
		account(vouching("good"), 2, 0), []string{"reports@good.test", "tls@none.test"}},
	{"none", `"v=TLSRPTv1;" " rua=mailto:reports@none.test;"`, "good",
		account(noPolicy, 2, 0), []string{"reports@none.test"}},
	{"dane", `"v=TLSRPTv1; rua=mailto:reports@dane.test"`, "wrong right",
		accountOf("wrong.mx.test", `"policy-type": "tlsa", "policy-string": ["3 1 1 KEY"]`, 0, 2, fault("tlsa-invalid", "wrong")) + ", " +
			accountOf("right.mx.test", `"policy-type": "tlsa", "policy-string": ["3 1 1 KEY"]`, 2, 0), []string{"reports@dane.test"}},
	{"other", `"v=TLSRPTv1; rua=mailto:reports@other.test"`, "other",
		account(vouching("other"), 0, 2, fault("certificate-host-mismatch", "other")), []string{"reports@other.test"}},
	{"plain", `"v=TLSRPTv1; rua=mailto:reports@plain.test"`, "plain",
		account(vouching("plain"), 0, 2, fault("starttls-not-supported", "plain")), []string{"reports@plain.test"}},
	// What is not dialled has no addresses; where there is no policy, no exchanger was chosen either.
	{"bogus", `"v=TLSRPTv1; rua=mailto:reports@bogus.test"`, "bogus",
		accountOf("bogus.mx.test", `"policy-type": "tlsa"`, 0, 2, `{"result-type": "dnssec-invalid", "receiving-mx-hostname": "bogus.mx.test",
			"failed-session-count": 2, "failure-reason-code": "WHY"}`), []string{"reports@bogus.test"}},
	{"garbled", `"v=TLSRPTv1; rua=mailto:reports@garbled.test"`, "good",
		account(`"policy-type": "sts"`, 0, 2, `{"result-type": "sts-policy-invalid", "failed-session-count": 2, "failure-reason-code": "WHY"}`) +
			", " + account(noPolicy, 2, 0), []string{"reports@garbled.test"}},
	{"web", `"v=TLSRPTv1; rua=https://reports.web.test/v1"`, "good", account(noPolicy, 2, 0), nil},
	{"silent", "", "good", "", nil},
	{"later", `"v=TLSRPTv2; rua=mailto:reports@later.test"`, "good", "", nil},
}

const noPolicy = `"policy-type": "no-policy-found"`

// vouching is the MTA-STS policy that names one exchanger (RFC 8460 section 4.4: policy-string has its lines, mx-host its patterns).
func vouching(host string) string {
	lines := strings.Split(strings.TrimSpace(policyText("enforce", host+".mx.test")), "\n")
	return fmt.Sprintf(`"policy-type": "sts", "policy-string": ["%s"], "mx-host": ["%s.mx.test"]`, strings.Join(lines, `", "`), host)
}

// account is what a report says of a policy of its domain.
func account(policy string, successes, failures int, details ...string) string {
	return accountOf("DOMAIN", policy, successes, failures, details...)
}

// accountOf is account for another policy domain: of DANE it is the exchanger's (RFC 8460 section 1.1).
func accountOf(domain, policy string, successes, failures int, details ...string) string {
	text := fmt.Sprintf(`{"policy": {%s, "policy-domain": %q},
		"summary": {"total-successful-session-count": %d, "total-failure-session-count": %d}`, policy, domain, successes, failures)
	if len(details) > 0 {
		text += `, "failure-details": [` + strings.Join(details, ", ") + "]"
	}
	return text + "}"
}

// fault is a failure of two sessions with an exchanger.
func fault(result, host string) string {
	return fmt.Sprintf(`{"result-type": %q, "sending-mta-ip": "127.0.0.1", "receiving-mx-hostname": "%s.mx.test", "receiving-ip": "%s",
		"failed-session-count": 2, "failure-reason-code": "WHY"}`, result, host, strings.ToUpper(host)+"-IP")
}

// A reporting is a Postfix that signs what is submitted, an smtpfeed that hands its reports to it, and exchangers that keep what arrives.
type reporting struct {
	*postfix
	feed       *feedd.Daemon
	signed     signer
	submission door
	exchangers map[string]*exchanger // by the first label of their names
	dir        string                // of reports
	dns        string                // the resolver that smtpfeed asks
	words      []string              // of accounts, each with what it stands for
}

func startReporting(t *testing.T) *reporting {
	t.Helper()
	feedd.NeedPostfix(t)
	ca, addrs := mxsim.NewAuthority("Web CA"), newAddrs(t, 6)
	r := &reporting{signed: startSigner(t), dir: filepath.Join(feedd.NewDir(t, "reports-"), "tls"), exchangers: map[string]*exchanger{},
		submission: door{name: "submission", addr: addrs[5]}}
	world := startZoned(t, addrs[0], r.startExchangers(t, ca, addrs)+r.publish(t, ca))
	r.dns = world.dns
	r.feed = feedd.Start(t, feedd.Config{
		World: world,
		TLS:   fmt.Sprintf("mode = \"opportunistic\"\ndane = true\nmta_sts = true\nroots = %q", writeFile(t, "roots.pem", ca.PEM())),
		Tables: fmt.Sprintf("[tls.report]\ndirectory = %q\nmail = true\norganization = \"Sender & Söhne\"\ncontact = \"tls@sender.test\"\n"+
			"[submission]\nhost = %q\nfrom = \"reporter@sender.test\"\n", r.dir, r.submission.host()),
	})
	r.postfix = newPostfix(t, r.feed.Socket(), "smtpd_milters = "+r.signed.milter, "milter_default_action = tempfail")
	r.open(t, []door{r.submission})
	startHost(t, r)
	return r
}

// startExchangers starts the exchangers and returns what a zone has of them. The TLSA records of two name the key of one.
func (r *reporting) startExchangers(t *testing.T, ca *mxsim.Authority, addrs []string) (zone string) {
	t.Helper()
	right := ca.Issue("right.mx.test")
	r.words = []string{"KEY", fmt.Sprintf("%x", right.TLSA(3, 1, 1))}
	for i, x := range []struct {
		name string
		id   *mxsim.Identity
		tlsa bool
	}{
		{"good", ca.Issue("good.mx.test"), false}, {"other", ca.Issue("another.mx.test"), false}, {"plain", nil, false},
		{"right", right, true}, {"wrong", ca.Issue("wrong.mx.test"), true},
	} {
		c := mxsim.Config{}
		if x.id != nil {
			c.TLS = x.id.Config()
		}
		r.exchangers[x.name] = startExchangerAt(t, addrs[i], c)
		r.words = append(r.words, strings.ToUpper(x.name)+"-IP", hostOf(addrs[i]))
		zone += fmt.Sprintf("%s.mx.test. A %s\n", x.name, hostOf(addrs[i]))
		if x.tlsa {
			zone += fmt.Sprintf("_%d._tcp.%s.mx.test. TLSA %s\n", portOf(t, addrs[i]), x.name, right.TLSARecord(3, 1, 1))
		}
	}
	return zone + fmt.Sprintf("bogus.mx.test. A %s\n$BOGUS _%d._tcp.bogus.mx.test.\n$SECURE mx.test.\n$SECURE dane.test.\n$SECURE bogus.test.\n",
		hostOf(addrs[0]), portOf(t, addrs[0]))
}

// publish serves the MTA-STS policies and returns what a zone has of the domains.
func (r *reporting) publish(t *testing.T, ca *mxsim.Authority) (zone string) {
	t.Helper()
	policies := map[string]string{"garbled.test": "version: STSv1\nmode: enforce\n"}
	for _, host := range []string{"good", "other", "plain"} {
		policies[host+".test"] = policyText("enforce", host+".mx.test")
	}
	web := startPublisher(t, ca, policies)
	for domain := range policies {
		zone += fmt.Sprintf("_mta-sts.%s. TXT \"v=STSv1; id=1;\"\nmta-sts.%s. A %s\n", domain, domain, web.ip)
	}
	for _, a := range accounts {
		for i, host := range strings.Fields(a.mx) {
			zone += fmt.Sprintf("%s.test. MX %d %s.mx.test.\n", a.domain, i, host)
		}
		if a.record != "" {
			zone += fmt.Sprintf("_smtp._tls.%s.test. TXT %s\n", a.domain, a.record)
		}
	}
	return zone
}

// RFC 8460, from mail to the report on it in the receiver's mailbox. A report is on a whole day, whatever processes counted it, and goes out
// once, also to receivers whose policy cannot be kept.
func TestReportsReachThoseWhoAskForThem(t *testing.T) {
	t.Parallel()
	if now := time.Now().UTC(); now.Truncate(24*time.Hour).AddDate(0, 0, 1).Sub(now) < 5*time.Minute {
		t.Skip("it would run over midnight UTC, and count on two days")
	}
	r := startReporting(t)
	r.deliver(t)
	r.restart(t, func() {})
	r.deliver(t)
	var day time.Time
	r.restart(t, func() { day = r.age(t) })

	mails := r.arrived(t)
	for _, a := range accounts {
		t.Run(a.domain, func(t *testing.T) { r.check(t, a, day, mails) })
	}
	before := r.files(t)
	r.restart(t, func() { r.forgotten(t) })
	r.others(t)
	assert.Equal(t, before, r.files(t), "nothing is reported twice")
	for name, x := range r.exchangers {
		assert.Empty(t, x.Violations(), "%s finds no fault", name)
	}
}

// deliver sends mail to all domains. What policies forbid is left to Postfix, which will not try again while the test lasts.
func (r *reporting) deliver(t *testing.T) {
	t.Helper()
	var to, kept []string
	for _, a := range accounts {
		to = append(to, "list@"+a.domain+".test")
	}
	submit(t, r.postfix, mail{from: sender, to: to, content: letter})
	for _, q := range settled(t, r.postfix, feedd.Patience) {
		assert.Contains(t, q.Reason, "451 4.7.", "%s waits for its policy", q.Address)
		kept = append(kept, q.Address)
	}
	slices.Sort(kept)
	assert.Equal(t, []string{"list@bogus.test", "list@other.test", "list@plain.test"}, slices.Compact(kept), "who waits")
	r.reset()
}

func (r *reporting) reset() {
	for _, x := range r.exchangers {
		x.Reset()
	}
}

// restart ends smtpfeed, has something done, and starts it again.
func (r *reporting) restart(t *testing.T, between func()) {
	t.Helper()
	r.feed.Terminate(t)
	r.feed.Wait(t)
	between()
	r.feed.Start(t)
}

// The lines of the file with the counts that are not reported yet.
var (
	dayLine    = regexp.MustCompile(`"day":"([0-9-]{10})"`)
	domainLine = regexp.MustCompile(`"domain":"([^"]*)"`)
)

// state is the file with the counts, without its last line, which is a checksum.
func (r *reporting) state(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, "tlsrpt.state"))
	require.NoError(t, err, "smtpfeed saves its counts when it ends")
	lines, _, ok := strings.Cut(string(text), `{"end":`)
	require.True(t, ok, "to the end: %q", text)
	return lines
}

// age makes the counts those of an earlier day, as nobody can wait for midnight: two days earlier, so that the hours are over within which
// the time of reports is drawn (RFC 8460 section 4.1). It returns that day.
func (r *reporting) age(t *testing.T) time.Time {
	t.Helper()
	lines := r.state(t)
	days := dayLine.FindAllStringSubmatch(lines, -1)
	require.Len(t, days, 1, "all was counted on one day")
	day, err := time.Parse(time.DateOnly, days[0][1])
	require.NoError(t, err, "it has a date")
	day = day.AddDate(0, 0, -2)
	lines = dayLine.ReplaceAllLiteralString(lines, fmt.Sprintf(`"day":%q`, day.Format(time.DateOnly)))
	lines += fmt.Sprintf("{\"end\":%d,\"crc\":%d}\n", strings.Count(lines, "\n"), crc32.ChecksumIEEE([]byte(lines)))
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "tlsrpt.state"), []byte(lines), 0o600), "the counts are saved again")
	return day
}

// arrived waits until all has happened that is to, and returns the mail by recipient.
func (r *reporting) arrived(t *testing.T) map[string]*mxsim.Message {
	t.Helper()
	var to []string
	wanted := tlsrpt.Stats{}
	for _, a := range accounts {
		to = append(to, a.to...)
		if a.policies == "" {
			wanted.Unasked++
			continue
		}
		wanted.Written++
	}
	wanted.Mailed, wanted.HTTPS = uint64(len(to)), 1
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Zero(c, r.stats(t).Editions, "days to be reported") },
		feedd.Patience, polling, "the reports are made")
	got := r.stats(t)
	got.Results = nil
	assert.Equal(t, wanted, got, "what came of it")
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.ElementsMatch(c, to, r.accepted(), "who has mail") },
		feedd.Patience, polling, "Postfix passes the reports on, and smtpfeed does")
	mails := map[string]*mxsim.Message{}
	for _, x := range r.exchangers {
		for _, m := range x.Messages() {
			mails[m.To[0]] = m
		}
	}
	return mails
}

// stats are what smtpfeed counts of reports.
func (r *reporting) stats(t assert.TestingT) tlsrpt.Stats {
	var status struct {
		Reports tlsrpt.Stats `json:"tls_reports"`
	}
	assert.NoError(t, json.Unmarshal([]byte(r.feed.Ask(t, "/status.json")), &status), "the status is JSON")
	return status.Reports
}

// accepted are the recipients whose mail arrived, wherever.
func (r *reporting) accepted() (to []string) {
	for _, x := range r.exchangers {
		to = append(to, x.accepted()...)
	}
	return to
}

// files are the reports in the directory: when each was written, by name.
func (r *reporting) files(t *testing.T) map[string]time.Time {
	t.Helper()
	entries, err := os.ReadDir(r.dir)
	require.NoError(t, err, "there is a directory")
	all := map[string]time.Time{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "tlsrpt.") {
			continue // the state, and the lock
		}
		info, err := e.Info()
		require.NoError(t, err, "%s is there", e.Name())
		all[e.Name()] = info.ModTime()
	}
	return all
}

// check looks at the file and the mail of a domain's report.
func (r *reporting) check(t *testing.T, a accounted, day time.Time, mails map[string]*mxsim.Message) {
	domain := a.domain + ".test"
	// RFC 8460 section 5.1: filename = sender "!" policy-domain "!" begin-timestamp "!" end-timestamp [ "!" unique-id ] "." extension
	pattern := fmt.Sprintf("feed.e2e.test!%s!%d!%d!*", domain, day.Unix(), day.Add(24*time.Hour-time.Second).Unix())
	files, err := filepath.Glob(filepath.Join(r.dir, pattern))
	require.NoError(t, err, "the directory can be read")
	if a.policies == "" {
		assert.Empty(t, files, "who does not ask is told nothing")
		return
	}
	require.Len(t, files, 1, "there is one report: %v", r.files(t))
	name := filepath.Base(files[0])
	require.Regexp(t, `![0-9a-z]+\.json$`, name, "with an ID in its name")
	text, err := os.ReadFile(files[0])
	require.NoError(t, err, "it can be read")
	id := day.Format("20060102") + "." + name[strings.LastIndex(name, "!")+1:len(name)-len(".json")] + "." + domain + "@feed.e2e.test"
	assert.JSONEq(t, r.expected(a, day, id), why.ReplaceAllString(string(text), `"failure-reason-code": "WHY"`), "the report")
	assert.NotContains(t, string(text), r.dns, "receivers need not know the servers of our own network")
	for _, to := range a.to {
		r.checkMail(t, to, mails[to], enclosed{domain: domain, id: id, name: name + ".gz", report: string(text)})
	}
}

// why is some reason for a failure: RFC 8460 section 4.4 leaves the words to us.
var why = regexp.MustCompile(`"failure-reason-code": "(?:[^"\\]|\\.)+"`)

// expected is the report on a domain (RFC 8460 section 4.4).
func (r *reporting) expected(a accounted, day time.Time, id string) string {
	policies := strings.NewReplacer(append(r.words, "DOMAIN", a.domain+".test")...).Replace(a.policies)
	return fmt.Sprintf(`{"organization-name": "Sender & Söhne", "contact-info": "tls@sender.test", "report-id": %q,
		"date-range": {"start-datetime": "%[2]sT00:00:00Z", "end-datetime": "%[2]sT23:59:59Z"}, "policies": [%s]}`,
		id, day.Format(time.DateOnly), policies)
}

// An enclosed is a report as mail has it.
type enclosed struct{ domain, id, name, report string }

// checkMail looks at the mail that a receiver has. RFC 8460 section 5.3: "Sending MTAs MUST NOT honor MTA-STS or DANE TLSA failures", which
// every MTA on the way is told by the field of RFC 8689 section 3; TLS there is, where it can be had.
func (r *reporting) checkMail(t *testing.T, to string, m *mxsim.Message, want enclosed) {
	t.Helper()
	require.NotNil(t, m, "%s has mail", to)
	assert.Empty(t, m.From, "nobody is told if it cannot be delivered: two reporters must not report to each other for ever")
	assert.Equal(t, to != "reports@plain.test", m.TLS, "mail to %s is encrypted if its exchanger can do it", to)
	content := string(m.Content)
	found := r.signed.verify(t, content)
	require.Len(t, found, 1, "RFC 8460 section 3: reports without a signature are ignored, so the host MTA signs what is submitted")
	assert.NoError(t, found[0].Err, "and it arrives as it was signed")
	assert.Equal(t, "sender.test", found[0].Domain, "by the domain that reports")

	got, err := netmail.ReadMessage(strings.NewReader(content))
	require.NoError(t, err, "it has a header: %q", content)
	for field, value := range map[string]string{
		"From": "<reporter@sender.test>", "To": "<" + to + ">", "Tls-Report-Domain": want.domain, "Tls-Report-Submitter": "feed.e2e.test",
		"Subject":      "Report Domain: " + want.domain + " Submitter: feed.e2e.test Report-ID: <" + want.id + ">",
		"Tls-Required": "No", "Auto-Submitted": "auto-generated", "Mime-Version": "1.0",
	} {
		assert.Equal(t, []string{value}, got.Header[field], "%s, once", field)
	}
	assert.Len(t, got.Header["Message-Id"], 1, "it has a name")
	at, err := got.Header.Date()
	require.NoError(t, err, "and a date")
	assert.WithinDuration(t, time.Now(), at, time.Hour, "of when it was made")
	r.checkParts(t, got, want)
}

// checkParts looks at the parts: one for people, one for programs (RFC 8460 section 5.3, RFC 6522 section 3).
func (r *reporting) checkParts(t *testing.T, m *netmail.Message, want enclosed) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err, "the mail says what it is")
	assert.Equal(t, "multipart/report tlsrpt", kind+" "+params["report-type"], "a report of this kind")
	parts := multipart.NewReader(m.Body, params["boundary"])
	text, err := parts.NextRawPart()
	require.NoError(t, err, "there is a part for people")
	assert.Equal(t, "text/plain; charset=us-ascii", text.Header.Get("Content-Type"), "in words")
	data, err := parts.NextRawPart()
	require.NoError(t, err, "there is a part for programs")
	assert.Equal(t, "application/tlsrpt+gzip", data.Header.Get("Content-Type"), "which is compressed")
	assert.Equal(t, want.name, data.FileName(), "and has the name of the file")
	require.Equal(t, "base64", data.Header.Get("Content-Transfer-Encoding"), "it has no octets that break on the way")
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, data))
	require.NoError(t, err, "it is gzip")
	report, err := io.ReadAll(z)
	require.NoError(t, err, "to its end")
	assert.Equal(t, want.report, string(report), "the mail has what the file has")
	_, err = parts.NextRawPart()
	assert.ErrorIs(t, err, io.EOF, "and no more")
}

// forgotten looks at the counts after the reports: theirs are gone. And there are no new ones, as no policy applies to mail with "TLS-Required:
// No": else two who report to each other would have something to report every day.
func (r *reporting) forgotten(t *testing.T) {
	t.Helper()
	lines := r.state(t)
	assert.Len(t, dayLine.FindAllString(lines, -1), 1, "no day is left but this one: %s", lines)
	assert.Empty(t, domainLine.FindAllString(lines, -1), "and of this one no session has been counted yet: %s", lines)
}

// others sees that nothing is left to be reported, and that mail which smtpfeed has later is all that arrives.
func (r *reporting) others(t *testing.T) {
	t.Helper()
	r.reset()
	assert.Zero(t, r.stats(t).Editions, "smtpfeed begins with no day to be reported")
	submit(t, r.postfix, mail{from: sender, to: []string{"list@none.test"}, content: letter})
	settled(t, r.postfix, feedd.Patience)
	assert.Equal(t, []string{"list@none.test"}, r.accepted(), "nobody has another report")
	got := r.stats(t)
	assert.Zero(t, got.Written+got.Mailed+got.Retried+got.Failed, "nor was one made")
}
