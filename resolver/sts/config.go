package sts

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// A Config is what Open needs. Its zero value works, and forgets all policies at the end of the process.
type Config struct {
	Path       string         // cache file; "": nothing is kept over restarts
	ReadOnly   bool           // the cache file is read and never written: it is another process's
	Prohibited []netip.Prefix // addresses that are never dialled; nil: none
	Roots      *x509.CertPool // whose certificates policy hosts may have; nil: the system's
	Timeout    time.Duration  // of a whole fetch, from the question for addresses to the last octet; 0: 15 s
	MaxSize    int64          // octets of a policy; 0: 64 KiB (RFC 8461 section 3.3)
	Fetches    int            // fetches at once, a quarter of them for refreshing; 0: 32
	Policies   int            // policies kept at most, of 1 KiB each on average; 0: 100,000
	Retry      time.Duration  // how long a failed fetch is remembered; 0: 5 min (RFC 8461 section 3.3)
	Port       uint16         // of policy hosts, for tests; 0: 443
	Log        *slog.Logger   // nil: silence

	// Dial connects to "ADDRESS:PORT"; network is "tcp". Nil: a net.Dialer. Tests give an in-memory network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

const (
	defaultTimeout  = 15 * time.Second
	defaultMaxSize  = 64 << 10
	defaultFetches  = 32
	defaultPolicies = 100_000
	defaultRetry    = 5 * time.Minute
	httpsPort       = 443
)

// withDefaults fills what is zero and checks the rest.
func (c Config) withDefaults() (Config, error) {
	for _, p := range c.Prohibited {
		if !p.IsValid() {
			return c, fmt.Errorf("sts: prohibited range %v is none: it would prohibit nothing", p)
		}
	}
	c.Timeout = orDefault(c.Timeout, defaultTimeout)
	c.MaxSize = orDefault(c.MaxSize, defaultMaxSize)
	c.Fetches = orDefault(c.Fetches, defaultFetches)
	c.Policies = orDefault(c.Policies, defaultPolicies)
	c.Retry = orDefault(c.Retry, defaultRetry)
	c.Port = orDefault(c.Port, httpsPort)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	return c, nil
}

// checkRoots tells that nobody's certificate will be valid: better once than with each domain.
func checkRoots(pool *x509.CertPool, err error, log *slog.Logger) {
	if err != nil || pool.Equal(x509.NewCertPool()) {
		log.Warn("sts: this machine trusts no certification authority, so no policy can be fetched; install ca-certificates",
			"error", err)
	}
}

func orDefault[N time.Duration | int64 | int | uint16](n, otherwise N) N {
	if n <= 0 {
		return otherwise
	}
	return n
}
