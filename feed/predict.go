package feed

import "context"

// A Prediction is how a list would be delivered, were every host up and polite.
type Prediction struct {
	Groups       []Group
	Unroutable   []Unroutable
	Sessions     int
	Transactions int
}

// A Group is one host and what would be sent to it.
type Group struct {
	Host         string // name of the exchanger
	Addrs        []string
	Domains      []string // sorted
	Recipients   int
	Sessions     int
	Transactions int
}

// An Unroutable is a domain without a route.
type Unroutable struct {
	Domain     string
	Recipients int
	Outcome    *Outcome
}

// Predict resolves the domains (folded, one per recipient) and drives the real engine with hosts that accept everything at once. No connection
// is opened and no mail is sent.
func Predict(ctx context.Context, c Config, domains []string) (Prediction, error) { panic("unwritten") }
