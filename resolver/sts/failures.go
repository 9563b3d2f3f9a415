package sts

import "time"

// failures remembers for a while which policies could not be had. RFC 8461 section 3.3 suggests to wait for five minutes or
// longer per version id, for the sake of hosts that are overwhelmed already. It is pure, like a book.
type failures struct {
	limit int
	index map[string]*failure
	queue []*failure // in the order in which they end; some are replaced already
}

type failure struct {
	domain, id string
	err        *Error
	until      time.Time
}

func newFailures(limit int) *failures {
	return &failures{limit: limit, index: make(map[string]*failure)}
}

// get returns the failure of this version of the domain's policy, or nil.
func (f *failures) get(now time.Time, domain, id string) *Error {
	if had := f.index[domain]; had != nil && had.id == id && now.Before(had.until) {
		return had.err
	}
	return nil
}

// put remembers a failure. until must not be earlier than that of the failure before.
func (f *failures) put(now time.Time, id string, err *Error, until time.Time) {
	had := &failure{domain: err.Domain, id: id, err: err, until: until}
	f.index[had.domain] = had
	f.queue = append(f.queue, had)
	for len(f.queue) > f.limit || !now.Before(f.queue[0].until) {
		f.drop(f.queue[0])
		f.queue = f.queue[1:]
		if len(f.queue) == 0 {
			break
		}
	}
}

// forget ends the memory of a domain.
func (f *failures) forget(domain string) { delete(f.index, domain) }

// drop forgets a failure unless the domain has a newer one.
func (f *failures) drop(old *failure) {
	if f.index[old.domain] == old {
		delete(f.index, old.domain)
	}
}
