package crash

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
	"github.com/smtpfeed/smtpfeed/test/netsim"
)

// A remote is an exchanger: polite, but for the faults that its plan has.
type remote struct {
	w      *world
	plan   remotePlan
	server *mxsim.Server

	mu     sync.Mutex // guards what follows
	luck   *rand.Rand
	faults int             // that are still to come
	ports  []uint16        // of clients, by session
	liars  map[uint16]bool // ports of those that were refused in the middle of a content
}

// A copy is a message that an exchanger took for a recipient, whatever it said then.
type copied struct {
	who         person
	at          time.Duration
	remote      *remote
	session     uint16 // the client's port
	transaction int    // of the session
	reply       string // that was to follow
}

// A person is a recipient of a message.
type person struct {
	message int
	to      string
}

func (p person) String() string { return fmt.Sprintf("%s of message %d", p.to, p.message) }

// startRemote makes an exchanger listen.
func (w *world) startRemote(n int) (*remote, error) {
	p := w.plan.remotes[n]
	w.net.Host(p.addr.Addr(), netsim.Link{Latency: p.latency, Window: p.window})
	r := &remote{w: w, plan: p, luck: rand.New(rand.NewPCG(w.plan.seed, uint64(100+n))), faults: p.atMost,
		liars: map[uint16]bool{}}
	r.server = mxsim.New(mxsim.Config{Name: fmt.Sprintf("mx%d.test", n), Keywords: p.keywords, MaxRecipients: p.recipients,
		MessagesPerSession: p.messages, Greeting: r.greet, Mail: r.mail, Rcpt: r.rcpt, Final: r.final,
		Sink: func(*mxsim.Message) {}})
	l, err := w.net.Listen(p.addr)
	if err != nil {
		return nil, err
	}
	r.server.Start(&remoteListener{l, r})
	return r, nil
}

// fault draws one of several faults; "" is none. An exchanger that has a habit does nothing else.
func (r *remote) fault(of ...string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if habit := r.plan.habit; habit != "" {
		if !slices.Contains(of, habit) {
			return ""
		}
		of = []string{habit}
	}
	if r.faults == 0 || r.luck.Float64() >= r.plan.trouble {
		return ""
	}
	r.faults--
	return of[r.luck.IntN(len(of))]
}

func (r *remote) greet(int) string {
	reply := r.fault("421 4.3.2 busy", "554 5.3.2 not today", mxsim.HangUp, mxsim.Mute, "slow", "slow")
	if reply != "slow" {
		return reply
	}
	time.Sleep(r.time(25 * time.Second)) // whoever comes meanwhile rides along
	return ""
}

func (r *remote) mail(string) string {
	reply := r.fault("451 4.3.0 later", "550 5.7.1 not from you", "421 4.3.2 closing", mxsim.Abort)
	if strings.HasPrefix(reply, "5") {
		r.w.mayBounce("")
	}
	if reply == "" {
		return "250 2.1.0 Ok"
	}
	return reply
}

func (r *remote) rcpt(to string, _ int) string {
	reply := r.fault("450 4.2.1 later", "450 4.2.1 later", "550 5.1.1 no such user", mxsim.HangUp, mxsim.Mute)
	if strings.HasPrefix(reply, "5") {
		r.w.mayBounce(to)
	}
	return reply
}

// takes begins the name of a fault: the message is taken, and then something else is done than to say so.
const takes = "take, "

// final answers a complete message. It may be taken and the sender never hear of it.
func (r *remote) final(m *mxsim.Message) string {
	reply, wait := "250 2.0.0 Ok: queued", time.Duration(0)
	switch f := r.fault("451 4.3.0 later", "554 5.6.0 refused", mxsim.HangUp, takes+mxsim.HangUp, takes+mxsim.Abort,
		takes+mxsim.Mute, "slow", "very slow",
		"slow 451", "overdue", "overdue", "250-2.0.0 Ok:\r\n250 2.0.0 queued"); f {
	case "":
	case "overdue": // just when the host MTA can wait no longer
		wait = r.w.plan.budget - 15*time.Second + r.time(30*time.Second)
	case "slow", "very slow", "slow 451":
		most := map[string]time.Duration{"slow": 20 * time.Second, "very slow": 700 * time.Second, "slow 451": 60 * time.Second}
		wait = time.Second + r.time(most[f])
		if f == "slow 451" {
			reply = "451 4.3.0 later"
		}
	default:
		reply = f
	}
	silent, taken := strings.CutPrefix(reply, takes)
	if taken {
		reply = silent
	}
	for _, to := range m.To {
		switch {
		case taken || reply[0] == '2':
			r.w.take(m, to, copied{remote: r, session: r.port(m.Session), transaction: m.Transaction, reply: reply})
		case reply[0] == '5':
			r.w.mayBounce(to)
		}
	}
	time.Sleep(wait)
	return reply
}

// time is no more than most.
func (r *remote) time(most time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return jitter(r.luck, most)
}

// port is the client's of a session.
func (r *remote) port(session int) uint16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ports[session-1]
}

// lies says that a session was refused in the middle of something, and may yet be told that all is well.
func (r *remote) lies(session uint16) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.liars[session]
}

// enough is what an exchanger says that wants no more of a message.
const enough = "451 4.3.0 that is enough\r\n"

// A remoteListener notes who comes.
type remoteListener struct {
	net.Listener
	remote *remote
}

func (l *remoteListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	r := l.remote
	breaks, reply := 0, ""
	goesOn := false
	switch r.fault("breaks", "replies", "chokes") {
	case "breaks":
		breaks = 1 + int(r.time(r.w.longest()))
	case "replies":
		breaks, reply = 1+int(r.time(r.w.longest())), enough
	case "chokes":
		breaks, reply, goesOn = 1+int(r.time(r.w.longest())), enough, true
	}
	from := portOf(c.RemoteAddr())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports = append(r.ports, from)
	r.liars[from] = reply != ""
	return &breakable{Conn: c.(*netsim.Conn), left: breaks, reply: reply, goesOn: goesOn}, nil
}

// A breakable connection ends in the middle of whatever comes.
type breakable struct {
	*netsim.Conn
	left   int    // octets until then; 0 is never
	reply  string // what it says then; nothing is a reset
	goesOn bool   // it is no end: the server takes what comes, as if nothing had been said
}

func (c *breakable) Read(p []byte) (int, error) {
	if c.left > 0 {
		p = p[:min(len(p), c.left)]
	}
	n, err := c.Conn.Read(p)
	if c.left == 0 || err != nil {
		return n, err
	}
	if c.left -= n; c.left > 0 {
		return n, nil
	}
	if c.reply == "" {
		c.Conn.Reset()
	} else {
		io.WriteString(c.Conn, c.reply)
	}
	if c.goesOn {
		return n, nil
	}
	return 0, net.ErrClosed // the server must not see an end of data that this was
}
