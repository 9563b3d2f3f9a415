package feed

import (
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
	"github.com/stretchr/testify/assert"
)

// An exchanger that takes no connections beyond its first is well: the work goes over the first.
func TestConnectionsBeyondALimit(t *testing.T) {
	for name, beyond := range map[string]mxsim.Script{
		"CON-05 RST":          {mxsim.Reset()},
		"CON-05 FIN":          {mxsim.Drop()},
		"GRT-01 421":          {mxsim.Reply("421 4.7.0 too many connections"), mxsim.Drop()},
		"CON-06 never greets": {gone()},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testConnectionsBeyondALimit(t, beyond) }) })
	}
}

func testConnectionsBeyondALimit(t *testing.T, beyond mxsim.Script) {
	w := newWorld(t, func(c *Config) { c.SessionsPerHost, c.RecipientsPerTransaction = 4, 1 })
	w.twoDomains(true)
	other := w.serve(backup, mxsim.Config{})
	w.serveFirst(best, beyond)
	d := w.send(shortContent, append(addresses(30, "one.test"), "c@two.test")...)
	assert.Equal(t, repeated("delivered", 31), d.wait(), "all are delivered")
	assert.Less(t, d.latest(), 10*time.Second, "without waiting for the others")
	assert.Empty(t, other.Messages(), "by this exchanger")
	assert.Greater(t, w.dials(best), 1, "more connections were tried")
	assert.LessOrEqual(t, w.dials(best), 4, "a few times only")
	assert.Zero(t, w.snapshot().HostsDown, "the host is not down")
}

// CON-06: nor is it down when the silent connections are given up at last.
func TestSilentConnectionsBeyondALimitAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.SessionsPerHost, c.RecipientsPerTransaction = 4, 1 })
		w.twoDomains(false)
		w.serveFirst(best, mxsim.Script{gone()})
		d := w.send(shortContent, addresses(30, "one.test")...)
		assert.Equal(t, repeated("delivered", 30), d.wait(), "all are delivered over the first connection")
		time.Sleep(310 * time.Second)
		assert.Zero(t, w.snapshot().HostsDown, "the host is not down")
	})
}

// serveFirst serves the first connection politely, and plays the script on all others.
func (w *world) serveFirst(addr string, beyond mxsim.Script) {
	l, s := w.listen(addr), mxsim.New(mxsim.Config{})
	var conns sync.WaitGroup
	conns.Go(func() {
		for i := 0; ; i++ {
			c, err := l.Accept()
			switch {
			case err != nil:
				return
			case i == 0:
				conns.Go(func() { s.ServeConn(c) })
			default:
				conns.Go(func() { beyond.Run(c) })
			}
		}
	})
	w.closers = append(w.closers, func() { l.Close() }, conns.Wait)
}

// A dial that fails is about the address, and with the last address about the host.
func TestDialFaults(t *testing.T) {
	for name, link := range map[string]netsim.Link{
		"refused":     {Refuse: true},
		"unreachable": {Unreachable: true},
		"black hole":  {BlackHole: true},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testDialFault(t, link) }) })
	}
}

func testDialFault(t *testing.T, link netsim.Link) {
	w := newWorld(t)
	w.table.set("one.test", "10 mx1.test 192.0.2.1 192.0.2.11", "20 mx2.test "+backup)
	w.table.set("two.test", "10 mx1.test 192.0.2.1 192.0.2.11")
	w.net.Host(at("192.0.2.1").Addr(), link)
	w.net.Host(at("192.0.2.11").Addr(), link)
	w.serve(backup, mxsim.Config{})
	d := w.send(shortContent, "a@one.test", "b@one.test", "c@two.test")
	assert.Equal(t, []string{"delivered", "delivered", "deferred 4.4.1"}, d.wait(), "who has another exchanger goes there")
	assert.LessOrEqual(t, d.latest(), 61*time.Second, "a connect timeout for each address")
	assert.Equal(t, []int{1, 1, 1}, []int{w.dials("192.0.2.1"), w.dials("192.0.2.11"), w.dials(backup)}, "each address is dialled once")
	d = w.send(againContent, "d@two.test")
	assert.Equal(t, []string{"deferred 4.4.1"}, d.wait(), "a while later too")
	assert.Zero(t, d.latest(), "without another dial")
	w.net.Host(at("192.0.2.1").Addr(), netsim.Link{})
	w.serve("192.0.2.1", mxsim.Config{})
	time.Sleep(61 * time.Second)
	assert.Equal(t, []string{"delivered"}, w.send(earlyContent, "d@two.test").wait(), "then it is tried again")
}

// CON-07: what this machine is short of is never charged to a host.
func TestWantOfDescriptors(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS} {
		t.Run("CON-07 "+errno.Error(), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testWantOfDescriptors(t, errno) }) })
	}
}

func testWantOfDescriptors(t *testing.T, errno syscall.Errno) {
	w := newWorld(t)
	w.twoDomains(true)
	first, second := w.serve(best, mxsim.Config{}), w.serve(backup, mxsim.Config{})
	w.net.Default(netsim.Link{DialError: errno})
	d := w.send(shortContent, "a@one.test", "b@one.test", "c@two.test")
	time.Sleep(10 * time.Second)
	assert.Equal(t, repeated("", 3), d.outcomes(), "everybody waits")
	assert.LessOrEqual(t, w.dials(best), 51, "dials are few meanwhile")
	assert.Zero(t, w.snapshot().HostsDown, "no host is charged")
	w.net.Default(netsim.Link{})
	assert.Equal(t, repeated("delivered", 3), d.wait(), "then all are delivered")
	assert.Len(t, first.Messages(), 1, "by the best exchanger")
	assert.Empty(t, second.Messages(), "and by no other")
}

// When the want lasts, everybody is told before the host MTA gives up.
func TestWantOfDescriptorsLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.twoDomains(true)
		w.net.Default(netsim.Link{DialError: syscall.EMFILE})
		d := w.send(shortContent, "a@one.test", "b@one.test", "c@two.test")
		assert.Equal(t, repeated("deferred 4.3.2", 3), d.wait(), "deferred when the budget ends, for what this machine lacks")
		assert.Zero(t, w.snapshot().HostsDown, "no host is charged")
	})
}

// GRT-08: a host that is slow to greet delays nobody else.
func TestSlowGreetingDelaysNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.table.set("one.test", "10 mx1.test "+best)
		w.table.set("two.test", "10 mx2.test "+backup)
		w.serve(best, mxsim.Config{HoldGreeting: 299 * time.Second})
		w.serve(backup, mxsim.Config{})
		d := w.send(shortContent, "a@one.test", "c@two.test")
		time.Sleep(time.Second)
		assert.Equal(t, []string{"", "delivered"}, d.outcomes(), "the other host's recipient is told at once")
		assert.Equal(t, repeated("delivered", 2), d.wait(), "the slow one is waited for")
	})
}
