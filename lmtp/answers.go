package lmtp

import "sync"

// answers are the final replies of one transaction, told in RCPT order, each as soon as it and all before it are known (RFC 2033
// section 4.2). A goroutine of their own tells them while some are not known: a host that reads slowly holds up no settlement and
// no record of one.
//
// go-smtp would do that with a channel and two map entries for each recipient, and mixes up the outcomes of a recipient that
// stands twice in a transaction.
type answers struct {
	out     *replies
	telling bool // by a goroutine
	teller  sync.WaitGroup

	mu    sync.Mutex // guards what follows; not held while writing
	ready sync.Cond  // the reply of next has become known
	known []*string  // per recipient its reply; nil when it is not known or was told
	next  int        // recipients before it were told
}

func newAnswers(out *replies, recipients int) *answers {
	a := &answers{out: out, known: make([]*string, recipients)}
	a.ready.L = &a.mu
	return a
}

// stream begins to tell what is known. Most transactions have one recipient or are settled at once, and end without it.
func (a *answers) stream() {
	if !a.telling {
		a.telling = true
		a.teller.Go(a.tell)
	}
}

// give notes the reply of a recipient that has none.
func (a *answers) give(recipient int, reply *string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[recipient] = reply
	if recipient == a.next {
		a.ready.Signal()
	}
}

// finish gives all recipients without a reply this one, and returns when the last was told. It is called once, by whom called
// stream.
func (a *answers) finish(rest string) {
	a.mu.Lock()
	for i := a.next; i < len(a.known); i++ {
		if a.known[i] == nil {
			a.known[i] = &rest
		}
	}
	a.ready.Signal()
	a.mu.Unlock()
	if a.telling {
		a.teller.Wait()
		return
	}
	a.tell()
}

// tell returns when every recipient was told. It waits for the host only in out, which has a deadline.
func (a *answers) tell() {
	var batch [64]*string
	for n := a.take(batch[:]); n > 0; n = a.take(batch[:]) {
		for _, reply := range batch[:n] {
			a.out.say(*reply)
		}
	}
}

// take waits for the next replies that may be told; n is 0 when there are no more.
func (a *answers) take(batch []*string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.next < len(a.known) && a.known[a.next] == nil {
		a.ready.Wait()
	}
	for n < len(batch) && a.next < len(a.known) && a.known[a.next] != nil {
		batch[n], a.known[a.next] = a.known[a.next], nil
		a.next++
		n++
	}
	return n
}
