package internet_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

func TestSilentHostsDropConnections(t *testing.T) {
	w := start(t, internet.Config{Domains: 10, Hosts: 4, DeadHosts: 2, Silent: true})
	at := netip.AddrPortFrom(internet.HostAddr(0), uint16(w.Port())).String()
	// Whoever is accepted or refused on loopback is so at once; the limit is not what is tested.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	errs := make(chan error, 5) // from each dialing goroutine, once
	for range cap(errs) {
		go func() {
			_, err := new(net.Dialer).DialContext(ctx, "tcp4", at)
			errs <- err
		}()
	}
	for range cap(errs) {
		var failed net.Error
		require.ErrorAs(t, <-errs, &failed)
		assert.True(t, failed.Timeout(), "nothing comes back from a silent host, however many ask: %v", failed)
	}
	connect(w, 2).quit(t)
}

func TestBigDomainHasEqualExchangers(t *testing.T) {
	c := internet.Config{Domains: 30, Hosts: 7, Big: 500, BigHosts: 3}
	w := start(t, c)
	big := "@" + internet.Domain(30)
	var mx []string
	for _, rr := range ask(t, w, internet.Domain(30)+".", dns.TypeMX).Answer {
		mx = append(mx, strings.Fields(rr.String())[5]+" "+strings.Fields(rr.String())[4])
	}
	assert.Equal(t, []string{"mx7.hosts.example. 10", "mx8.hosts.example. 10", "mx9.hosts.example. 10"}, mx, "three of one preference, beside the other hosts")
	others := make(map[string]int)
	n := 0
	for _, a := range internet.List(c, 600) {
		if strings.HasSuffix(a, big) {
			n++
			assert.Equal(t, []int{7, 8, 9}, internet.Takers(a, c), "each of them takes it")
			continue
		}
		others[a[strings.IndexByte(a, '@'):]]++
	}
	assert.Equal(t, 300, n, "of 600 recipients 300 are there")
	require.Len(t, others, 30, "the others are everywhere else")
	for d, k := range others {
		assert.Equal(t, 10, k, "and equally at %s", d)
	}
	m := connect(w, 9)
	m.send("", body, []string{internet.Recipient(1, c)})
	m.quit(t)
	r := w.Report()
	assert.Equal(t, []int{1, 0, 0}, []int{r.Recipients, r.Misrouted.Count, r.Unknown.Count}, "the big domain's hosts take its mail")
	assert.True(t, strings.HasSuffix(internet.Recipient(1, c), big), "which this was")
}

func TestTakersLive(t *testing.T) {
	c := internet.Config{Domains: 10, Hosts: 4, DeadHosts: 2}
	assert.Equal(t, []int{3}, internet.Takers("user@"+internet.Domain(3), c), "the only exchanger")
	assert.Equal(t, []int{2}, internet.Takers("user@"+internet.Domain(0), c), "the second one, when the first is dead")
	assert.Empty(t, internet.Takers("user@"+internet.Domain(10), c), "a domain that does not exist has none")
}
