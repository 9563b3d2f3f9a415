package main

import (
	"fmt"
	"strings"

	"github.com/smtpfeed/smtpfeed/test/hosts"
)

// A kind is a host MTA as the bench must know it.
type kind struct {
	key, name string
	make      func(hosts.Setup) (hosts.Host, error)
	doors     int           // TCP addresses on which smtpfeed listens for it, as patches/ recommends; 0 is a Unix socket
	queue     []string      // directories below its own that have files while there is mail to deliver
	most      map[way]bound // of its messages; "" is for the ways that are not there
	warm      map[way]int   // recipients delivered before a measurement, so that processes that stay are there
	port25    bool          // delivering itself, it knows no other port
}

// A bound is how many recipients one message is given.
type bound struct {
	most int // 0 is any number
	why  string
}

// kinds are all there are, in the table's order.
func kinds() []kind {
	return []kind{
		postfixKind(),
		{
			key: "sendmail", name: "sendmail",
			make:  func(s hosts.Setup) (hosts.Host, error) { return hosts.NewSendmail(s) },
			queue: []string{"queue"},
		},
		{
			key: "exim", name: "Exim", doors: 1,
			make:  func(s hosts.Setup) (hosts.Host, error) { return hosts.NewExim(s) },
			queue: []string{"spool/input"},
			most: map[way]bound{
				"":    {15000, "Exim never delivers one with more than 16,384 recipients"},
				tuned: {100, "Exim asks DNS about one domain after the other before it delivers anything, but does so for many messages at once"},
			},
		},
		{
			key: "opensmtpd", name: "OpenSMTPD", doors: 100, port25: true,
			make:  func(s hosts.Setup) (hosts.Host, error) { return hosts.NewOpenSMTPD(s) },
			queue: []string{"spool/smtpd/queue"},
			most:  map[way]bound{shipped: {1000, "OpenSMTPD takes no more by default (smtp limit max-rcpt)"}},
		},
	}
}

func postfixKind() kind {
	return kind{
		key: "postfix", name: postfixName,
		make:  func(s hosts.Setup) (hosts.Host, error) { return hosts.NewPostfix(s) },
		queue: []string{"queue/incoming", "queue/active", "queue/deferred"},
		warm:  map[way]int{shipped: 100, tuned: 1000}, // default_process_limit: an idle smtp(8) stays for 100 s (max_idle)
	}
}

// chooseKinds picks hosts by their keys.
func chooseKinds(keys string) (chosen []kind, err error) {
	for key := range strings.SplitSeq(keys, ",") {
		k, ok := kindOf(key)
		if !ok {
			return nil, fmt.Errorf("there is no host %q", key)
		}
		chosen = append(chosen, k)
	}
	return chosen, nil
}

func kindOf(key string) (kind, bool) {
	for _, k := range kinds() {
		if k.key == key {
			return k, true
		}
	}
	return kind{}, false
}
