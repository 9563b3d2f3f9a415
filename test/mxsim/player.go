package mxsim

import (
	"fmt"
	"net"
	"sync"
)

// A Player accepts connections and gives each its script.
type Player struct {
	l       net.Listener
	scripts []Script
	loop    bool
	stop    chan struct{}  // closed by Close, which alone closes it
	running sync.WaitGroup // the accepting goroutine and one for each connection

	mu      sync.Mutex // never held while waiting
	conns   []net.Conn
	results []Result // in order of connections; complete once running is done
	closed  bool
}

// Play gives the first connection the first script and so on. A connection too many is reset, and is an error in Results.
func Play(l net.Listener, scripts ...Script) *Player { return play(l, scripts, false) }

// PlayLoop is Play, but the last script is played on all further connections too.
func PlayLoop(l net.Listener, scripts ...Script) *Player { return play(l, scripts, true) }

func play(l net.Listener, scripts []Script, loop bool) *Player {
	p := &Player{l: l, scripts: scripts, loop: loop, stop: make(chan struct{})}
	p.running.Go(p.accept)
	return p
}

// Results are those of all connections so far, in order; a script that is still being played has an empty one.
func (p *Player) Results() []Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Result(nil), p.results...)
}

// Err is the first error of a script, with the number of its connection; nil when there is none.
func (p *Player) Err() error {
	for i, r := range p.Results() {
		if r.Err != nil {
			return fmt.Errorf("connection %d: %w", i, r.Err)
		}
	}
	return nil
}

// Close closes the listener and all connections, and returns when every script has ended.
func (p *Player) Close() {
	p.mu.Lock()
	conns, closed := p.conns, p.closed
	p.closed = true
	p.mu.Unlock()
	if !closed {
		close(p.stop)
		p.l.Close()
	}
	for _, c := range conns {
		c.Close()
	}
	p.running.Wait()
}

func (p *Player) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		i, ok := p.take(c)
		if !ok {
			c.Close()
			return
		}
		p.running.Go(func() { p.play(i, c) })
	}
}

// take numbers a connection; ok is false when the player is closed.
func (p *Player) take(c net.Conn) (i int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, false
	}
	p.conns = append(p.conns, c)
	p.results = append(p.results, Result{})
	return len(p.conns) - 1, true
}

func (p *Player) play(i int, c net.Conn) {
	r := p.script(i).play(newPeer(c, p.stop))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.results[i] = r
}

// script is what connection i gets.
func (p *Player) script(i int) Script {
	switch {
	case i < len(p.scripts):
		return p.scripts[i]
	case p.loop && len(p.scripts) > 0:
		return p.scripts[len(p.scripts)-1]
	}
	return Script{unexpectedConnection}
}

// unexpectedConnection is the script of a connection that no script is left for.
var unexpectedConnection = Step{"no connection expected", func(p *peer) error {
	Reset().run(p)
	return net.ErrClosed
}}
