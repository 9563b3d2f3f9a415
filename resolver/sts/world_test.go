package sts

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// An authority signs certificates, as of the time of the bubble it was made in.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  time.Time
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, now: time.Now()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: a.now.Add(-time.Hour), NotAfter: a.now.Add(100_000 * time.Hour),
	}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	require.NoError(t, err, "the authority's certificate can be made")
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err, "and read")
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err, "a key can be made")
	return key
}

func (a *authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// certificate is one for these names that ends at a time from now.
func (a *authority) certificate(ends time.Duration, names ...string) tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: a.now.Add(-time.Hour), NotAfter: a.now.Add(ends),
	}
	return a.sign(template, a.cert, a.key)
}

func (a *authority) sign(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) tls.Certificate {
	key := newKey(a.t)
	if parentKey == nil {
		parentKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	require.NoError(a.t, err, "a certificate can be signed")
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// policyOf is a policy of one exchanger.
func policyOf(mode Mode, mx string, age string) string {
	return "version: STSv1\r\nmode: " + mode.String() + "\r\nmx: " + mx + "\r\nmax_age: " + age + "\r\n"
}

// plain answers with a policy.
func plain(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, body)
	}
}

// raw answers with octets instead of HTTP, and hangs up.
func raw(octets string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, octets)
	}
}

// serve answers HTTPS on a listener until the test ends.
func serve(t *testing.T, l net.Listener, conf *tls.Config, h http.Handler) {
	var conns sync.WaitGroup
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ConnState: func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			conns.Add(1)
		case http.StateHijacked, http.StateClosed:
			conns.Done()
		}
	}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve(tls.NewListener(l, conf))
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
		conns.Wait() // a bubble must not end while a handler sleeps
	})
}

// A logbook keeps what was logged.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logbook) count(part string) int { return strings.Count(l.String(), part) }

// A world is policy hosts in memory: one server has all of them, at siteAddr. It is made inside a bubble.
type world struct {
	t     *testing.T
	net   *netsim.Net
	log   logbook
	conf  Config
	mu    sync.Mutex
	sites map[string]http.HandlerFunc // by domain
	asked map[string]int              // requests by domain
}

var siteAddr = netip.MustParseAddr("192.0.2.80")

func newWorld(t *testing.T) *world {
	w := &world{t: t, net: netsim.New(), sites: make(map[string]http.HandlerFunc), asked: make(map[string]int)}
	w.net.Default(netsim.Link{Latency: 10 * time.Millisecond})
	l, err := w.net.Listen(netip.AddrPortFrom(siteAddr, 443))
	require.NoError(t, err, "the policy hosts' server listens")
	ca := newAuthority(t)
	var certs sync.Map
	conf := &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if had, ok := certs.Load(h.ServerName); ok {
			return had.(*tls.Certificate), nil
		}
		cert := ca.certificate(100_000*time.Hour, h.ServerName)
		certs.Store(h.ServerName, &cert)
		return &cert, nil
	}}
	serve(t, l, conf, http.HandlerFunc(w.handle))
	w.conf = Config{Roots: ca.roots(), Log: w.log.logger(), Dial: w.dial}
	return w
}

func (w *world) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	return w.net.Dial(ctx, netip.MustParseAddrPort(addr))
}

func (w *world) handle(rw http.ResponseWriter, r *http.Request) {
	domain := strings.TrimPrefix(r.Host, prefix)
	w.mu.Lock()
	w.asked[domain]++
	h := w.sites[domain]
	w.mu.Unlock()
	if h == nil {
		h = http.NotFound
	}
	h(rw, r)
}

func (w *world) site(domain string, h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sites[domain] = h
}

// requests is how often a domain's policy was asked for.
func (w *world) requests(domain string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[domain]
}

// open opens a store whose lookups all lead to siteAddr.
func (w *world) open() *Store {
	s, err := Open(w.conf)
	require.NoError(w.t, err, "the store opens")
	s.LookupWith(func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{siteAddr}, nil })
	return s
}

// A result is what done was called with.
type result struct {
	p   *Policy
	err error
}

// fetch waits for a policy.
func fetch(t *testing.T, s *Store, domain, id string) result {
	got := make(chan result, 2) // from done; room for the second one, which must not come
	s.Fetch(domain, id, func(p *Policy, err error) { got <- result{p, err} })
	r := <-got
	assert.Empty(t, got, "done is called once")
	return r
}

// good fetches a policy that must be had.
func good(t *testing.T, s *Store, domain, id string) *Policy {
	r := fetch(t, s, domain, id)
	require.NoError(t, r.err, "the policy of %s can be fetched", domain)
	require.NotNil(t, r.p, "and is given")
	return r.p
}

// bad fetches a policy that must not be had, and returns why.
func bad(t *testing.T, r result) *Error {
	e, ok := r.err.(*Error)
	require.True(t, ok, "the error is an *Error, not %v", r.err)
	return e
}
