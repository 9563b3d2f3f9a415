package tlsrpt

// Stats are the totals of this process, but for Domains, which is now.
type Stats struct {
	// Results are sessions by result type: "success" and the words of RFC 8460 section 4.3, all of them also when 0. A session
	// counts once for each policy domain that it was for.
	Results map[string]uint64

	Domains  int // counted today
	Editions int // ended days that are not reported to the end

	Overflow uint64 // results that are in no report since a bound of memory was reached, but for the next
	Folded   uint64 // failures that are in a report without their details, for the same reason
	Dropped  uint64 // results that are in no report since too many came at once
	Unnamed  uint64 // results of what is no domain name, such as an address literal

	Unasked uint64 // domain days for which no report is wanted: there is no usable record
	Written uint64 // reports written to the directory
	Mailed  uint64 // mails handed over: a report to one address
	HTTPS   uint64 // addresses that were skipped because they are https:
	Failed  uint64 // reports that were wanted and could not be written, or not be mailed to all addresses

	Unanswered uint64 // domain days whose DNS never said whether a report is wanted
	Retried    uint64 // attempts at a report that failed and were followed by another
}

// Stats returns the totals. It never waits.
func (r *Reporter) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Results = make(map[string]uint64, resultTypes)
	for i, name := range resultNames() {
		s.Results[name] = r.totals[i]
	}
	return s
}

// note changes the totals. It is called by the keeper, editions and deliveries.
func (r *Reporter) note(change func(*Stats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.stats)
}
