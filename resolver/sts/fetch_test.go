package sts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	ourDomain = "example.com"
	ourHost   = "mta-sts.example.com"
)

// enough is a policy of 129 octets.
var enough = policyOf(Enforce, "mx.example.com", "86400")

// A scene is one real HTTPS server on loopback and a store that trusts its authority.
type scene struct {
	ca    *authority
	log   logbook
	conf  Config
	addrs []netip.Addr
}

func newScene(t *testing.T, cert func(*authority) tls.Certificate, h http.Handler, change ...func(*tls.Config)) *scene {
	sc := &scene{ca: newAuthority(t)}
	conf := &tls.Config{Certificates: []tls.Certificate{cert(sc.ca)}}
	for _, f := range change {
		f(conf)
	}
	l := listen(t, "127.0.0.1:0")
	serve(t, l, conf, h)
	at := netip.MustParseAddrPort(l.Addr().String())
	sc.addrs = []netip.Addr{at.Addr()}
	sc.conf = Config{Roots: sc.ca.roots(), Port: at.Port(), Timeout: time.Minute, Log: sc.log.logger()}
	return sc
}

func listen(t *testing.T, addr string) net.Listener {
	l, err := net.Listen("tcp", addr)
	require.NoError(t, err, "%s can be listened on", addr)
	t.Cleanup(func() { l.Close() })
	return l
}

func (sc *scene) fetch(t *testing.T) result {
	s, err := Open(sc.conf)
	require.NoError(t, err, "the store opens")
	defer s.Close()
	s.LookupWith(func(_ context.Context, host string) ([]netip.Addr, error) {
		assert.Equal(t, ourHost, host, "the policy host is looked up")
		return sc.addrs, nil
	})
	return fetch(t, s, ourDomain, "1")
}

func rightCert(a *authority) tls.Certificate { return a.certificate(time.Hour, ourHost) }

// TestRequest: what is asked, and how (RFC 8461 section 3.3).
func TestRequest(t *testing.T) {
	sc := newScene(t, rightCert, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, port, _ := net.SplitHostPort(r.Host)
		assert.Equal(t, net.JoinHostPort(ourHost, port), r.Host, "the policy host is asked")
		assert.Equal(t, "GET /.well-known/mta-sts.txt HTTP/1.1", fmt.Sprintf("%s %s %s", r.Method, r.RequestURI, r.Proto), "for the policy")
		assert.True(t, r.Close, "the connection is used once")
		assert.Empty(t, r.Cookies(), "there are no cookies")
		assert.Empty(t, r.Header.Get("Accept-Encoding"), "nothing compressed is asked for")
		assert.Equal(t, ourHost, r.TLS.ServerName, "SNI names the policy host")
		plain(enough)(w, r)
	}))
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	r := sc.fetch(t)
	require.NoError(t, r.err, "the policy is fetched, past any proxy of the environment")
	assert.Equal(t, []string{"mx.example.com"}, r.p.MX, "and read")
	assert.WithinDuration(t, time.Now().Add(24*time.Hour), r.p.Expires, time.Minute, "and lives as long as it says")
}

// TestCertificates: RFC 8461 section 3.3: valid for the policy host, not expired, from an authority that is trusted.
func TestCertificates(t *testing.T) {
	selfSigned := func(a *authority) tls.Certificate {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(3), DNSNames: []string{ourHost}, NotBefore: a.now.Add(-time.Hour), NotAfter: a.now.Add(time.Hour),
		}
		return a.sign(template, template, nil)
	}
	onlyCommonName := func(a *authority) tls.Certificate {
		return a.sign(&x509.Certificate{
			SerialNumber: big.NewInt(4), Subject: pkix.Name{CommonName: ourHost}, NotBefore: a.now.Add(-time.Hour), NotAfter: a.now.Add(time.Hour),
		}, a.cert, a.key)
	}
	names := func(names ...string) func(*authority) tls.Certificate {
		return func(a *authority) tls.Certificate { return a.certificate(time.Hour, names...) }
	}
	cases := []struct {
		rule   string
		cert   func(*authority) tls.Certificate
		reason string // "" is success
	}{
		{"the policy host's name", rightCert, ""},
		{"one of several names", names("www.example.com", ourHost), ""},
		{"a wildcard", names("*.example.com"), ""},
		{"another name", names("www.example.com"), "certificate is valid for www.example.com, not " + ourHost},
		{"the domain's name", names("example.com"), "certificate is valid for example.com, not " + ourHost},
		{"a common name only", onlyCommonName, "legacy Common Name"},
		{"expired", func(a *authority) tls.Certificate { return a.certificate(-time.Minute, ourHost) }, "expired"},
		{"self-signed", selfSigned, "unknown authority"},
		{"an authority that nobody trusts", func(a *authority) tls.Certificate { return newAuthority(a.t).certificate(time.Hour, ourHost) }, "unknown authority"},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			r := newScene(t, c.cert, plain(enough)).fetch(t)
			if c.reason == "" {
				require.NoError(t, r.err, "this certificate will do")
				return
			}
			e := bad(t, r)
			assert.Nil(t, r.p, "no policy comes of it")
			assert.Equal(t, WebPKIInvalid, e.Result, "the report blames the certificate")
			assert.Contains(t, e.Reason, c.reason, "and says what is wrong")
		})
	}
}

// TestResponses: all that a web server may say.
func TestResponses(t *testing.T) {
	const ok, text = "HTTP/1.1 200 OK\r\n", "Content-Type: text/plain\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n", len(enough))
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://"+r.Host+"/elsewhere")
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(code)
			io.WriteString(w, enough)
		}
	}
	exactly := func(n int) http.HandlerFunc { return plain(enough + "x: " + strings.Repeat("y", n-len(enough)-3)) }
	cases := []struct {
		rule           string
		h              http.HandlerFunc
		result, reason string // "" is success
	}{
		{"a policy", plain(enough), "", ""},
		{"a policy of MaxSize", exactly(1000), "", ""},
		{"no charset", raw(ok + text + length + "\r\n" + enough), "", ""},
		{"a parameter that is none", raw(ok + "Content-Type: Text/Plain ;;=x\r\n" + length + "\r\n" + enough), "", ""},
		{"identity coding", raw(ok + text + "Content-Encoding: identity\r\n" + length + "\r\n" + enough), "", ""},
		{"an interim response (RFC 9110 section 15.2)", raw("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok + text + length + "\r\n" + enough), "", ""},
		{"HTTP/1.0, ended by TLS", raw("HTTP/1.0 200 OK\r\n" + text + "\r\n" + enough), "", ""},
		{"more than Content-Length says", raw(ok + text + length + "\r\n" + enough + strings.Repeat("z", 5000)), "", ""},

		{"301 is not followed", status(301), FetchError, "HTTP status 301: redirects are not followed"},
		{"302 is not followed", status(302), FetchError, "HTTP status 302: redirects are not followed"},
		{"307 is not followed", status(307), FetchError, "HTTP status 307: redirects are not followed"},
		{"308 is not followed", status(308), FetchError, "HTTP status 308: redirects are not followed"},
		{"404", http.NotFound, FetchError, "HTTP status 404"},
		{"500", status(500), FetchError, "HTTP status 500"},
		{"another 2xx", status(203), FetchError, "HTTP status 203"},
		{"HTML", raw(ok + "Content-Type: text/html\r\n" + length + "\r\n" + enough), FetchError, `the content type is "text/html", not text/plain`},
		{"a longer type", raw(ok + "Content-Type: text/plainer\r\n" + length + "\r\n" + enough), FetchError, `the content type is "text/plainer", not text/plain`},
		{"no type", raw(ok + length + "\r\n" + enough), FetchError, `the content type is "", not text/plain`},
		{"gzip", raw(ok + text + "Content-Encoding: gzip\r\n" + length + "\r\n" + enough), FetchError, `the content is coded as "gzip"`},
		{"one octet more than MaxSize", exactly(1001), FetchError, "more than 1000 octets"},
		{"too much, and Content-Length says so", raw(ok + text + "Content-Length: 1001\r\n\r\n"), FetchError, "more than 1000 octets"},
		{"too much, without Content-Length", raw(ok + text + "\r\n" + strings.Repeat("z", 1001)), FetchError, "more than 1000 octets"},
		{"too much, in chunks", raw(ok + text + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("64\r\n"+strings.Repeat("z", 100)+"\r\n", 12)), FetchError, "more than 1000 octets"},
		{"less than Content-Length says", raw(ok + text + "Content-Length: 900\r\n\r\n" + enough), FetchError, "reading the policy: unexpected EOF"},
		{"chunks that end in the middle", raw(ok + text + "Transfer-Encoding: chunked\r\n\r\n64\r\nversion"), FetchError, "reading the policy: unexpected EOF"},
		{"chunks that are none", raw(ok + text + "Transfer-Encoding: chunked\r\n\r\nversion: STSv1\r\n"), FetchError, "reading the policy: invalid byte in chunk length"},
		{"chunks with long extensions", raw(ok + text + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("x", 2000)+"\r\nz\r\n", 90)), FetchError, "reading the policy: "},
		{"headers without end", raw(ok + strings.Repeat("X-Y: "+strings.Repeat("z", 1000)+"\r\n", 40)), FetchError, "headers of more than 32768 octets"},
		{"a header line without end", raw(ok + "X-Y: " + strings.Repeat("z", 40_000)), FetchError, "headers of more than 32768 octets"},
		{"interim responses without end", raw(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 9)), FetchError, "too many interim responses"},
		{"not HTTP", raw("220 mail.example.com ESMTP\r\n"), FetchError, "malformed HTTP status code"},
		{"an escape sequence", raw("\x1b[2J\r\n"), FetchError, `malformed HTTP response "\x1b[2J"`},
		{"nothing", raw(""), FetchError, "unexpected EOF"},
		{"a page that calls itself text", plain("<html>"), PolicyInvalid, "line 1: not a key and a value"},
		{"an empty policy", plain(""), PolicyInvalid, `version ""`},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			sc := newScene(t, rightCert, c.h)
			sc.conf.MaxSize = 1000
			r := sc.fetch(t)
			if c.result == "" {
				require.NoError(t, r.err, "this is a policy")
				return
			}
			e := bad(t, r)
			assert.Nil(t, r.p, "no policy comes of it")
			assert.Equal(t, c.result, e.Result, "the report has the right type")
			assert.Contains(t, e.Reason, c.reason, "and the reason")
			assert.Equal(t, ourDomain, e.Domain, "and the domain")
		})
	}
}

// TestCutOff: a body whose end is the connection's must be ended by TLS, or anybody on the way could shorten the policy.
func TestCutOff(t *testing.T) {
	sc := newScene(t, rightCert, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		io.WriteString(conn, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"+enough)
		conn.(*tls.Conn).NetConn().Close()
	}))
	assert.Equal(t, "the policy was cut off", bad(t, sc.fetch(t)).Reason, "what may be half of a policy is none")
}

// TestEndless: a body without end is left as soon as it is too long.
func TestEndless(t *testing.T) {
	left := make(chan struct{}) // closed by the server when its client is gone
	sc := newScene(t, rightCert, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(left)
		w.Header().Set("Content-Type", "text/plain")
		for {
			if _, err := io.WriteString(w, "x: yyyyyyyyyyyyyyyyyyyyyyyy\n"); err != nil {
				return
			}
		}
	}))
	assert.Equal(t, "more than 65536 octets", bad(t, sc.fetch(t)).Reason, "64 KiB is the most by default")
	<-left
}

// TestSlow: one deadline holds for everything, however steadily octets come.
func TestSlow(t *testing.T) {
	run(t, nil, func(t *testing.T, w *world, s *Store) {
		w.site(ourDomain, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "text/plain")
			for r.Context().Err() == nil {
				time.Sleep(100 * time.Millisecond)
				io.WriteString(rw, "x")
				rw.(http.Flusher).Flush()
			}
		})
		begun := time.Now()
		e := bad(t, fetch(t, s, ourDomain, "1"))
		assert.Equal(t, &Error{ourDomain, FetchError, "no answer in time"}, e, "a trickle ends with the fetch's time")
		assert.Equal(t, 15*time.Second, time.Since(begun), "which is 15 s")
	})
}

// TestSlowLookup: the question for addresses is part of the fetch.
func TestSlowLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(newWorld(t).conf)
		require.NoError(t, err, "the store opens")
		defer s.Close()
		s.LookupWith(func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		begun := time.Now()
		assert.Equal(t, FetchError, bad(t, fetch(t, s, ourDomain, "1")).Result, "no address is no policy")
		assert.Equal(t, 15*time.Second, time.Since(begun), "it takes the fetch's time and no more")
	})
}

// TestNoAuthorities: a machine without ca-certificates would blame each policy host.
func TestNoAuthorities(t *testing.T) {
	var log logbook
	checkRoots(newAuthority(t).roots(), nil, log.logger())
	assert.Empty(t, log.String(), "one authority is something")
	checkRoots(x509.NewCertPool(), nil, log.logger())
	checkRoots(nil, errors.New("x"), log.logger())
	assert.Equal(t, 2, log.count("install ca-certificates"), "none is told, with what to do")
}

// TestTLSVersions: what is older than TLS 1.2 is no protection (RFC 8996).
func TestTLSVersions(t *testing.T) {
	version := func(v uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, v }
	}
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		assert.NoError(t, newScene(t, rightCert, plain(enough), version(v)).fetch(t).err, "%s will do", tls.VersionName(v))
	}
	e := bad(t, newScene(t, rightCert, plain(enough), version(tls.VersionTLS11)).fetch(t))
	assert.Equal(t, FetchError, e.Result, "TLS 1.1 is no certificate's fault")
	assert.Contains(t, e.Reason, "protocol version", "and the reason says what it is")
}

// TestNoTLS: servers that speak no TLS, or hang up, or say nothing.
func TestNoTLS(t *testing.T) {
	peers := map[string]struct {
		peer   func(net.Conn)
		wait   time.Duration
		reason string
	}{
		"HTTP":    {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); c.Close() }, time.Minute, "first record does not look like a TLS handshake"},
		"hang up": {func(c net.Conn) { c.Close() }, time.Minute, ""},
		"silence": {func(net.Conn) {}, 300 * time.Millisecond, "no answer in time"},
	}
	for name, p := range peers {
		t.Run(name, func(t *testing.T) {
			sc := newScene(t, rightCert, plain(enough))
			l := listen(t, "127.0.0.1:0")
			go func() {
				if c, err := l.Accept(); err == nil {
					t.Cleanup(func() { c.Close() })
					p.peer(c)
				}
			}()
			sc.conf.Port, sc.conf.Timeout = netip.MustParseAddrPort(l.Addr().String()).Port(), p.wait
			e := bad(t, sc.fetch(t))
			assert.Equal(t, FetchError, e.Result, "without TLS there is no policy")
			assert.Contains(t, e.Reason, p.reason, "and the reason says why")
		})
	}
}

func TestLookupFails(t *testing.T) {
	s, err := Open(Config{})
	require.NoError(t, err, "the store opens")
	defer s.Close()
	s.LookupWith(func(_ context.Context, host string) ([]netip.Addr, error) {
		if host == "mta-sts.none.test" {
			return nil, nil
		}
		return nil, errors.New("SERVFAIL")
	})
	assert.Equal(t, "mta-sts.none.test has no address", bad(t, fetch(t, s, "none.test", "1")).Reason, "a policy host without address")
	assert.Equal(t, "no address of mta-sts.a.test: SERVFAIL", bad(t, fetch(t, s, "a.test", "1")).Reason, "a policy host that could not be asked for")
	for _, domain := range []string{"", "[192.0.2.1]", "a..b", "a b", strings.Repeat("a.", 123) + "a", "\x1b.test"} {
		e := bad(t, fetch(t, s, domain, "1"))
		assert.Equal(t, FetchError, e.Result, "%q has no policy host", domain)
		assert.Equal(t, printable(domain), e.Domain, "and what it is may be printed")
	}
}
