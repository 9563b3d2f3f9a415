package internet_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

func start(t testing.TB, c internet.Config) *internet.World {
	t.Helper()
	w, err := internet.Start(c)
	require.NoError(t, err, "a small world can be made")
	t.Cleanup(w.Close)
	return w
}

// byHost groups recipients as an ideal mailer does.
func byHost(c internet.Config, list []string) map[int][]string {
	hosts := make(map[string]int)
	for i := range c.Domains {
		hosts[internet.Domain(i)] = i % c.Hosts
	}
	groups := make(map[int][]string)
	for _, a := range list {
		j := hosts[a[strings.IndexByte(a, '@')+1:]]
		groups[j] = append(groups[j], a)
	}
	return groups
}

func TestWorldCountsEveryRecipientOnce(t *testing.T) {
	c := internet.Config{Domains: 100, Hosts: 7, Refused: 10, Grey: 10, Full: 10, TempFail: 10}
	w := start(t, c)
	const n = 1000
	again := make(map[int][]string)
	for j, to := range byHost(c, internet.List(c, n)) {
		m := connect(w, j)
		for a, reply := range m.send("list@sender.example", body, to) {
			switch internet.FateOf(a) {
			case internet.Refuse:
				assert.Contains(t, reply, "550 5.1.1", "refuse means no such user")
			case internet.Full:
				assert.Contains(t, reply, "452 4.2.2", "full means mailbox full")
			case internet.TempFail:
				assert.Contains(t, reply, "451 4.3.0", "tempfail means later")
			case internet.Grey:
				assert.Contains(t, reply, "450 4.2.0", "grey means greylisted")
				again[j] = append(again[j], a)
			default:
				assert.Fail(t, "user means delivered", a)
			}
		}
		m.quit(t)
	}
	assert.Equal(t, 10, w.Missing(n).Count, "the greylisted ones are missing")
	for j, to := range again {
		m := connect(w, j)
		assert.Empty(t, m.send("list@sender.example", body, to), "a greylisted recipient is taken the second time")
		m.quit(t)
	}
	r := w.Report()
	assert.Equal(t, 970, r.Recipients, "all but the refused ones arrived")
	assert.Equal(t, 40, r.Refused, "with one refusal for each that is not delivered at once")
	assert.Equal(t, []int{0, 0, 0, 0}, []int{r.Duplicates.Count, r.Misrouted.Count, r.Unknown.Count, r.Violations}, "nothing was wrong")
	assert.Zero(t, w.Missing(n).Count, "nobody is missing")
	assert.Equal(t, 7+len(again), r.Transactions, "transactions are counted")
	assert.Equal(t, 7+len(again), r.Sessions, "sessions are counted")
	assert.Equal(t, []int{7, 1, 1}, []int{r.HostsUsed, r.MaxSessionsPerHost, r.Contents}, "hosts and contents are")
	assert.True(t, 0 < r.First && r.First <= r.Median && r.Median <= r.P90 && r.P90 <= r.Last, "times are in order")
	assert.Equal(t, internet.Progress{Recipients: 970, Last: w.Progress().Last}, w.Progress(), "progress agrees")
}

func TestWorldSeesWhatAMailerDoesWrong(t *testing.T) {
	c := internet.Config{Domains: 10, Hosts: 10}
	w := start(t, c)
	m := connect(w, 3)
	right := "user1@" + internet.Domain(3)
	m.send("", body, []string{right, right, "user2@" + internet.Domain(4), "user3@" + internet.Domain(13), "user@elsewhere.test"})
	m.send("", body+"another text\r\n", []string{right})
	m.send("", body, []string{right})
	m.say("NOOP\r\nNOOP\r\n")
	m.expect("250 ")
	m.expect("250 ")
	m.quit(t)
	r := w.Report()
	assert.Equal(t, internet.Addresses{Count: 2, First: []string{right, right}}, r.Duplicates, "the same content again is a duplicate, another one is not")
	assert.Equal(t, internet.Addresses{Count: 1, First: []string{"user2@" + internet.Domain(4)}}, r.Misrouted, "a host that is no exchanger of the domain")
	assert.Equal(t, internet.Addresses{Count: 2, First: []string{"user3@" + internet.Domain(13), "user@elsewhere.test"}}, r.Unknown, "domains that do not exist")
	assert.Equal(t, 2, r.Contents, "contents are told apart")
	assert.Equal(t, []string{"mx3.hosts.example: talk before the reply to NOOP: NOOP\r\n"}, r.Broken, "violations name the host")

	w.Reset()
	m = connect(w, 3)
	m.send("", body, []string{right})
	m.quit(t)
	r = w.Report()
	assert.Equal(t, []int{1, 0, 0, 0, 1}, []int{r.Recipients, r.Duplicates.Count, r.Violations, r.Unknown.Count, r.Sessions}, "a reset forgets")
}

func ask(t *testing.T, w *internet.World, name string, qtype uint16) *dns.Msg {
	t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	q.AuthenticatedData = true // whether it is validated is of interest
	a, err := dns.Exchange(q, w.DNSAddr())
	require.NoError(t, err, "the DNS server answers")
	return a
}

func records(rr []dns.RR) []string {
	var s []string
	for _, r := range rr {
		s = append(s, strings.Join(strings.Fields(r.String()), " "))
	}
	return s
}

func TestWorldAnswersDNS(t *testing.T) {
	w := start(t, internet.Config{Domains: 100, Hosts: 10, DeadHosts: 2, Additional: true, TTL: 60})
	const (
		soa = "example. 300 IN SOA ns.example. postmaster.example. 1 3600 600 86400 300"
		d17 = "d17.1.example. 60 IN MX 10 mx7.hosts.example."
	)
	for name, c := range map[string]struct {
		name              string
		qtype             uint16
		rcode             int
		answer, ns, extra []string
	}{
		"a domain has one exchanger":              {"d17.1.example.", dns.TypeMX, 0, []string{d17}, nil, []string{"mx7.hosts.example. 60 IN A 127.10.1.8"}},
		"in any case":                             {"D17.1.eXample.", dns.TypeMX, 0, []string{strings.Replace(d17, "d17.1.example", "D17.1.eXample", 1)}, nil, []string{"mx7.hosts.example. 60 IN A 127.10.1.8"}},
		"a domain of a dead host has another one": {"d11.11.example.", dns.TypeMX, 0, []string{"d11.11.example. 60 IN MX 10 mx1.hosts.example.", "d11.11.example. 60 IN MX 20 mx5.hosts.example."}, nil, []string{"mx1.hosts.example. 60 IN A 127.10.1.2", "mx5.hosts.example. 60 IN A 127.10.1.6"}},
		"a domain has no address":                 {"d17.1.example.", dns.TypeA, 0, nil, []string{soa}, nil},
		"a host has an IPv4 address":              {"mx7.hosts.example.", dns.TypeA, 0, []string{"mx7.hosts.example. 60 IN A 127.10.1.8"}, nil, nil},
		"and no IPv6 address":                     {"mx7.hosts.example.", dns.TypeAAAA, 0, nil, []string{soa}, nil},
		"a domain too many does not exist":        {"d100.4.example.", dns.TypeMX, dns.RcodeNameError, nil, []string{soa}, nil},
		"nor does a host too many":                {"mx10.hosts.example.", dns.TypeA, dns.RcodeNameError, nil, []string{soa}, nil},
		"nor a domain in the wrong place":         {"d17.2.example.", dns.TypeMX, dns.RcodeNameError, nil, []string{soa}, nil},
		"nor a number written in another way":     {"d017.1.example.", dns.TypeMX, dns.RcodeNameError, nil, []string{soa}, nil},
		"servfail is what its name says":          {"servfail3.example.", dns.TypeMX, dns.RcodeServerFailure, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, w, c.name, c.qtype)
			assert.Equal(t, c.rcode, a.Rcode, "the response code")
			assert.Equal(t, c.answer, records(a.Answer), "the answer")
			assert.Equal(t, c.ns, records(a.Ns), "the authority section")
			assert.Equal(t, c.extra, records(a.Extra), "the additional section")
		})
	}
	r := w.Report()
	assert.Equal(t, []int64{7, 3, 1, 0}, []int64{r.MX, r.A, r.AAAA, r.Other}, "questions are counted by type")
}

func TestDeadHostsRefuseAndTheOthersDoNot(t *testing.T) {
	w := start(t, internet.Config{Domains: 10, Hosts: 4, DeadHosts: 2})
	for j := range 4 {
		m := connect(w, j)
		if j < 2 {
			assert.ErrorIs(t, m.err, syscall.ECONNREFUSED, "nobody listens at a dead host")
			continue
		}
		m.quit(t)
	}
}

func TestDistancesAreSimulated(t *testing.T) {
	const rtt, processing = 20 * time.Millisecond, 30 * time.Millisecond
	w := start(t, internet.Config{Domains: 1, Hosts: 1, RTT: rtt, Processing: processing})
	began := time.Now()
	m := connect(w, 0)
	m.send("", body, []string{"user0@" + internet.Domain(0)})
	m.quit(t)
	assert.GreaterOrEqual(t, time.Since(began), 5*rtt+processing, "greeting, EHLO, envelope, body and QUIT take a round trip each")
}

func TestImpossibleWorldsAreRefused(t *testing.T) {
	for name, c := range map[string]internet.Config{
		"no domains":                 {Hosts: 1},
		"no hosts":                   {Domains: 1},
		"all hosts dead":             {Domains: 1, Hosts: 1, DeadHosts: 1},
		"too many hosts":             {Domains: 1, Hosts: 1 << 30},
		"a big domain without hosts": {Domains: 1, Hosts: 1, Big: 1},
		"hosts of no big domain":     {Domains: 1, Hosts: 1, BigHosts: 1},
		"more than all recipients":   {Domains: 1, Hosts: 1, Big: 1001, BigHosts: 1},
		"a name for the DNS":         {Domains: 1, Hosts: 1, DNS: "nowhere"},
		"an unknown kind of key":     {Domains: 1, Hosts: 1, TLS: "dsa"},
		"an unknown key exchange":    {Domains: 1, Hosts: 1, TLS: internet.ECDSA, KeyExchange: "RSA"},
		"TLSA records without TLS":   {Domains: 1, Hosts: 1, TLSA: true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := internet.Start(c)
			assert.ErrorContains(t, err, "internet: ", "the error says who speaks")
		})
	}
}

func TestControlSpeaksJSON(t *testing.T) {
	w := start(t, internet.Config{Domains: 1, Hosts: 1})
	m := connect(w, 0)
	m.send("", body, []string{"user0@" + internet.Domain(0)})
	m.quit(t)
	s := httptest.NewServer(w.Control())
	defer s.Close()
	get := func(path string, v any) int {
		t.Helper()
		r, err := http.Get(s.URL + path)
		require.NoError(t, err)
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		if v != nil {
			require.NoError(t, json.Unmarshal(b, v), "the answer is JSON: %s", b)
		}
		return r.StatusCode
	}
	var r internet.Report
	assert.Equal(t, http.StatusOK, get("/report", &r))
	assert.Equal(t, 1, r.Recipients, "the report is the world's")
	var p internet.Progress
	get("/progress", &p)
	assert.Equal(t, 1, p.Recipients, "so is the progress")
	var missing internet.Addresses
	get("/missing?n=2", &missing)
	assert.Equal(t, internet.Addresses{Count: 1, First: []string{"user1@d0.0.example"}}, missing, "so are the missing")
	assert.Equal(t, http.StatusBadRequest, get("/missing?n=x", nil), "n must be a number")
	assert.Equal(t, http.StatusMethodNotAllowed, get("/reset", nil), "a reset is a POST")
	reset, err := http.Post(s.URL+"/reset", "", nil)
	require.NoError(t, err)
	reset.Body.Close()
	assert.Zero(t, w.Report().Recipients, "a reset forgets")
}

func TestCloseEndsOpenSessions(t *testing.T) {
	w, err := internet.Start(internet.Config{Domains: 1, Hosts: 1, RTT: time.Millisecond})
	require.NoError(t, err)
	m := connect(w, 0)
	require.NoError(t, m.err)
	w.Close()
	_, err = m.r.ReadByte()
	assert.Error(t, err, "the session is gone")
	_, err = net.Dial("tcp", m.conn.RemoteAddr().String())
	assert.ErrorIs(t, err, syscall.ECONNREFUSED, "so is the listener")
}
