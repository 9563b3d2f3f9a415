package resolver

// Stats are counters since New and gauges of now.
type Stats struct {
	Questions     uint64 // asked on the wire, each once however often it was sent
	MXQuestions   uint64 // of these, for MX
	AQuestions    uint64 // of these, for A
	AAAAQuestions uint64 // of these, for AAAA
	TLSAQuestions uint64 // of these, for TLSA (DANE)
	TXTQuestions  uint64 // of these, for TXT (MTA-STS, and Texts)
	Retries       uint64 // datagrams sent again
	Truncated     uint64 // answers that had to be fetched over TCP
	Timeouts      uint64 // questions that no server answered in time
	Spoofed       uint64 // messages ignored: forged, garbage, or a second answer to a question sent twice
	CacheHits     uint64 // questions answered by the cache
	Stale         uint64 // questions answered by the cache past the TTL, because asking again failed
	PolicyFetches uint64 // MTA-STS policies asked of the store over HTTPS
	InFlight      int    // questions on the wire now
	Window        int    // questions that may be on the wire now
	Entries       int    // answers in the cache now
}

// statistics are those of the upstream; the cache's are the Resolver's to add.
func (u *upstream) statistics() Stats {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.stats
	s.InFlight, s.Window = u.window.inFlight, u.window.size
	return s
}
