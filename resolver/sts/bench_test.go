package sts

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const many = 100_000

// domainsOf fills a store with a policy for each of many domains.
func domainsOf(b *testing.B, s *Store) []string {
	domains := make([]string, many)
	for i := range domains {
		domains[i] = fmt.Sprintf("d%d.example", i)
		p, err := ParsePolicy(domains[i], "20261122", []byte(policyOf(Enforce, "*."+domains[i], "604800")), time.Now())
		require.NoError(b, err, "it is a policy")
		s.book.put(time.Now(), p, time.Now(), p.Expires)
	}
	return domains
}

// BenchmarkCached is what a list of 100,000 domains costs that all have policies.
func BenchmarkCached(b *testing.B) {
	s, err := Open(Config{})
	require.NoError(b, err, "the store opens")
	defer s.Close()
	domains := domainsOf(b, s)
	now := time.Now()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if s.Cached(now, domains[i%many]) == nil {
			b.Fatal("a policy is missing")
		}
		i++
	}
}

// BenchmarkCachedNone is the same for domains that have none: nearly all.
func BenchmarkCachedNone(b *testing.B) {
	s, err := Open(Config{})
	require.NoError(b, err, "the store opens")
	defer s.Close()
	domainsOf(b, s)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		s.Cached(now, "none.example")
	}
}

// BenchmarkParsePolicy is what a policy costs once fetched or loaded.
func BenchmarkParsePolicy(b *testing.B) {
	body, now := []byte(rfcExample), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePolicy("example.com", "1", body, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFile writes and reads the file of 100,000 policies.
func BenchmarkFile(b *testing.B) {
	s, err := Open(Config{})
	require.NoError(b, err, "the store opens")
	defer s.Close()
	domainsOf(b, s)
	policies, path := s.snapshot(), filepath.Join(b.TempDir(), "policies")
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, writeFile(path, policies), "the file is written")
		}
	})
	b.Run("read", func(b *testing.B) {
		require.NoError(b, writeFile(path, policies), "the file is written")
		for b.Loop() {
			c, err := readFile(path, 1<<30, time.Now())
			require.NoError(b, err, "the file is read")
			require.Len(b, c.policies, many, "whole")
		}
	})
}
