package resolver

import (
	"context"
	"slices"
	"time"
)

// A Result is what came of one domain.
type Result struct {
	Domain string
	Route  Route // if Err is nil
	Err    error // an *Error
	Grown  bool  // it is the second one of its domain: exchangers of the first have IPv6 addresses too
}

// Start resolves domains, each as folded by Fold, and returns the results that are known at once. The others are handed to done
// as they come, several together when they came together; each domain has one result, here or there, and perhaps a grown one after
// that, or in another reader's hands at the same time.
//
// done is called by the goroutines that read the servers' answers, from several of them at once, and perhaps before Start
// returns: it must not block, nor call Close. Start itself never calls it. The slice is done's to keep. Each question ends
// within Config.Timeout of being sent, and Close ends all: after it done is not called any more.
func (r *Resolver) Start(domains []string, done func([]Result)) (known []Result) {
	return r.start(domains, &asker{done: done})
}

// Verify is Start for domains with exchangers whose addresses were only Additional, and do not seem to be theirs: the exchangers' own
// records are asked for. RFC 2181 section 5.4.1 has the additional section for the least trustworthy data, and RFC 5321 section
// 5.1 knows no other addresses than those that a lookup of the exchanger gives.
func (r *Resolver) Verify(domains []string, done func([]Result)) (known []Result) {
	return r.start(domains, &asker{done: done, verify: true})
}

func (r *Resolver) start(domains []string, a *asker) (known []Result) {
	var ready []*lookup
	for some := range slices.Chunk(domains, startAtOnce) {
		ready = ready[:0]
		for i, room := 0, make([]lookup, len(some)); i < len(some); i++ {
			l := &room[i]
			l.domain, l.asker = some[i], a
			ready = append(ready, l)
			if second := r.newPair(l); second != nil {
				ready = append(ready, second)
			}
		}
		known = append(known, r.advance(ready).results...)
	}
	return known
}

// startAtOnce is how many domains are looked at before the first of them is asked about: a long list must not wait for its end.
const startAtOnce = 64

// Resolve returns the route of a domain as folded by Fold. The error is an *Error, or the context's; then the questions go on and
// the cache has their answers later. Each question ends within Config.Timeout of being sent, so Resolve ends without a
// deadline too.
func (r *Resolver) Resolve(ctx context.Context, domain string) (Route, error) {
	// From a reader, once, to this call. Capacity 1: it does not wait for us.
	answered := make(chan Result, 1)
	known := r.Start([]string{domain}, func(results []Result) {
		if !results[0].Grown {
			answered <- results[0]
		}
	})
	if len(known) == 1 {
		return known[0].Route, known[0].Err
	}
	select {
	case result := <-answered:
		return result.Route, result.Err
	case <-ctx.Done():
		return Route{}, ctx.Err()
	}
}

// Cached returns what is known about a domain without asking anybody; ok is false if something would have to be asked.
// With ok, route and err are what Resolve would return.
func (r *Resolver) Cached(domain string) (route Route, ok bool, err error) {
	l := &lookup{domain: domain}
	v := r.newView()
	p := v.plan(l)
	if len(p.ask) > 0 || p.err != nil {
		return p.route, len(p.ask) == 0, p.err
	}
	if second := r.newPair(l); second != nil {
		policy := v.plan(second)
		if len(policy.ask) > 0 {
			return Route{}, false, nil
		}
		l.pair.settle(second, Result{Route: policy.route})
		_, result := l.pair.settle(l, Result{Route: p.route})
		return result.Route, true, nil
	}
	return p.route, true, nil
}

// An asker is who started lookups together.
type asker struct {
	done   func([]Result)
	verify bool // additional sections do not count
}

// A lookup is one domain on its way to a route: the state that a call's stack would hold, without a stack. It belongs to the
// goroutine that plans it, and while it waits for answers, to the Resolver's lock. There are others than for routes (see goal).
type lookup struct {
	goal    goal
	domain  string
	asker   *asker
	pair    *pair     // of a domain whose policy is looked for too
	inquiry *inquiry  // of names
	learned []learned // by this lookup, in case the cache forgets it in between
	ask     []key     // what the last plan asked
	missing int       // answers waited for
	told    bool      // it has its result, and waits for what may grow it

	// Mostly there is one question and one answer: room for them, so that a lookup is one object.
	firstLearned  [1]learned
	firstQuestion question
}

type learned struct {
	key   key
	facts *facts
}

// newQuestion is a question that this lookup is the first to ask.
func (l *lookup) newQuestion(k key) *question {
	q := &l.firstQuestion
	if q.key.name != "" {
		q = new(question)
	}
	q.init(k)
	return q
}

// rank is how soon the lookup's next questions are to be asked.
func (l *lookup) rank() rank {
	switch {
	case l.told:
		return rankLast
	case len(l.learned) > 0:
		return rankNext
	default:
		return rankFirst
	}
}

// learn takes the answer to one of the lookup's questions.
func (l *lookup) learn(k key, f *facts) {
	if l.learned == nil {
		l.learned = l.firstLearned[:0]
	}
	l.learned = append(l.learned, learned{k, f})
}

// An ending is lookups that have come to their end, and what came of them.
type ending struct {
	lookups []*lookup
	results []Result
}

// advance plans lookups that wait for nothing, and starts what they ask, until the others have come to their end.
func (r *Resolver) advance(ready []*lookup) (e ending) {
	v := r.newView()
	for len(ready) > 0 {
		asking := ready[:0]
		for _, l := range ready {
			if l.told && !l.grew() || r.unwanted(l) {
				continue
			}
			p := v.plan(l)
			if l.ask = p.ask; len(p.ask) > 0 && !l.told {
				asking = append(asking, l)
				continue
			}
			if len(p.ask) == 0 {
				r.end(&e, l, Result{l.domain, p.route, p.err, l.told})
			}
			if l.ask = p.later; len(p.later) > 0 && !l.told {
				l.told = true
				asking = append(asking, l)
			}
		}
		ready = r.depart(asking)
	}
	return e
}

// end takes what came of a lookup, or lets it wait for the other one of its pair.
func (r *Resolver) end(e *ending, l *lookup, result Result) {
	if l.pair != nil {
		r.mu.Lock()
		l, result = l.pair.settle(l, result)
		r.mu.Unlock()
	}
	if l != nil {
		e.lookups = append(e.lookups, l)
		e.results = append(e.results, result)
	}
}

// grew says that an answer which nobody waited for has addresses.
func (l *lookup) grew() bool {
	for _, k := range l.ask {
		i := slices.IndexFunc(l.learned, func(f learned) bool { return f.key == k })
		if i >= 0 && (l.learned[i].facts.status == found || l.learned[i].facts.status == alias) {
			return true
		}
	}
	return false
}

// A view is what plans see: what their lookup learned, and the cache. One serves a batch of lookups, one after the other.
type view struct {
	r      *Resolver
	now    time.Time
	lookup *lookup
	hits   uint64
	look   func(key) *facts // known
}

func (r *Resolver) newView() *view {
	v := &view{r: r, now: time.Now()}
	v.look = v.known
	return v
}

func (v *view) plan(l *lookup) plan {
	if len(l.learned) == 0 && l.goal == aRoute { // its first plan
		if err := checkFolded(l.domain); err != nil {
			return plan{err: err}
		}
	}
	v.lookup, v.hits = l, 0
	p := v.aim(l)
	if len(p.ask) == 0 && v.hits > 0 {
		v.r.mu.Lock()
		v.r.hits += v.hits
		v.r.mu.Unlock()
	}
	return p
}

// aim makes the plan that leads to the lookup's goal.
func (v *view) aim(l *lookup) plan {
	switch l.goal {
	case aPolicy:
		return v.r.planner.planPolicy(v.now, l.domain, v.look)
	case names:
		d := &draft{planner: &v.r.planner, now: v.now, known: v.look}
		d.planNames(l.inquiry)
		return plan{ask: d.ask}
	default:
		return v.r.planner.plan(v.now, l.domain, l.asker != nil && l.asker.verify, v.look)
	}
}

func (v *view) known(k key) *facts {
	for i := range v.lookup.learned {
		if l := &v.lookup.learned[i]; l.key == k {
			return l.facts
		}
	}
	v.r.mu.Lock()
	defer v.r.mu.Unlock()
	f := v.r.cache.get(v.now, k)
	if f != nil {
		v.hits++
	}
	return f
}

// depart lets lookups wait for the questions they ask: those in flight are joined, the others started (single flight). It returns
// the lookups whose answers have all landed since they were planned.
func (r *Resolver) depart(asking []*lookup) (ready []*lookup) {
	if len(asking) == 0 {
		return nil
	}
	var b boarding
	now := time.Now()
	r.mu.Lock()
	for _, l := range asking {
		for _, k := range l.ask {
			r.board(now, l, k, &b)
		}
		if l.missing == 0 {
			ready = append(ready, l)
		}
	}
	r.mu.Unlock()
	if len(b.questions) > 0 {
		r.up.ask(b.questions)
	}
	for _, q := range b.fetches {
		r.fetch(q)
	}
	return ready
}

// A boarding is what has to be asked for lookups that begin to wait.
type boarding struct {
	questions []*question
	fetches   []*question // of policies, which are not asked of DNS servers
}

// board lets a lookup wait for a question. The lock is held.
func (r *Resolver) board(now time.Time, l *lookup, k key, b *boarding) {
	if f := r.cache.get(now, k); f != nil {
		l.learn(k, f)
		return
	}
	fetch := k.qtype == typePolicy
	if fetch && r.closed {
		l.learn(k, fetchedFacts(now, nil, closedError(k)))
		return
	}
	q := r.flights[k]
	if q == nil {
		q = l.newQuestion(k)
		q.rank = l.rank()
		r.flights[k] = q
		if fetch {
			r.fetches++
			b.fetches = append(b.fetches, q)
		} else {
			b.questions = append(b.questions, q)
		}
	}
	q.waiting = append(q.waiting, l)
	l.missing++
}

// answered lands flights: the upstream calls it with every question asked, once. The lookups that waited for them only go on.
func (r *Resolver) answered(answers []answer) {
	now := time.Now()
	var ready []*lookup
	r.mu.Lock()
	for _, a := range answers {
		k := a.question.key
		if r.flights[k] != a.question {
			continue // a fetch that came after the Resolver was closed
		}
		f := r.cache.put(now, k, a.facts)
		delete(r.flights, k)
		for _, l := range a.question.waiting {
			l.learn(k, f)
			if l.missing--; l.missing == 0 {
				ready = append(ready, l)
			}
		}
	}
	r.mu.Unlock()
	r.advance(ready).hand()
}

// hand gives results to those who started the lookups: neighbours of one asker together.
func (e ending) hand() {
	for begin := 0; begin < len(e.lookups); {
		a, end := e.lookups[begin].asker, begin+1
		for end < len(e.lookups) && e.lookups[end].asker == a {
			end++
		}
		a.done(e.results[begin:end:end])
		begin = end
	}
}
