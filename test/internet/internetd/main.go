// Command internetd runs the world of package internet as a process of its own, until SIGINT or SIGTERM.
//
// It prints one JSON line when it is ready, {"port":2525,"dns":"127.0.0.1:5353","control":"127.0.0.1:8025"}, and the final report
// when it ends.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

func main() {
	c, o := parse(flag.NewFlagSet("internetd", flag.ExitOnError), os.Args[1:])
	if err := run(c, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// options are what is not the world's.
type options struct {
	control string
	roots   string // a file
}

func parse(f *flag.FlagSet, args []string) (c internet.Config, o options) {
	f.IntVar(&c.Domains, "domains", 10000, "mail domains")
	f.IntVar(&c.Hosts, "hosts", 200, "mail hosts that the domains share")
	f.IntVar(&c.DeadHosts, "dead", 0, "hosts that refuse connections; their domains have a second exchanger")
	f.BoolVar(&c.Silent, "silent", false, "dead hosts drop what is sent to them instead of refusing")
	f.IntVar(&c.Big, "big", 0, "of 1000 recipients, at one domain more, which is big")
	f.IntVar(&c.BigHosts, "big-hosts", 0, "further hosts, equal exchangers of the big domain")
	f.DurationVar(&c.RTT, "rtt", 0, "round trip to every mail host")
	f.DurationVar(&c.Processing, "processing", 0, "what a final reply takes")
	f.DurationVar(&c.DNSDelay, "dns-delay", 0, "what a DNS answer takes")
	f.BoolVar(&c.Additional, "additional", true, "MX answers carry addresses")
	f.IntVar(&c.Port, "port", 2525, "of all mail hosts")
	f.StringVar(&c.DNS, "dns", "127.0.0.1:5353", "where the DNS server listens")
	f.IntVar(&c.MX.MaxRecipients, "max-recipients", 0, "a transaction takes, then 452 4.5.3; 0 is no limit")
	f.IntVar(&c.MX.MaxSessions, "max-sessions", 0, "a host takes at once, then 421; 0 is no limit")
	f.BoolVar(&c.MX.SingleDomain, "single-domain", false, "a second domain in a transaction gets 451 4.3.0")
	f.IntVar(&c.Refused, "refused", 0, "recipients refused for ever, of 1000 (they concern GET /missing only)")
	f.IntVar(&c.Grey, "grey", 0, "recipients refused once, of 1000")
	f.IntVar(&c.Full, "full", 0, "recipients over quota, of 1000")
	f.IntVar(&c.TempFail, "tempfail", 0, "recipients refused with 451, of 1000")
	f.StringVar(&c.Sender, "sender", "", "every transaction's envelope sender; {local} and {domain} stand for its recipient's; \"\" is anybody")
	f.Uint64Var(&c.Seed, "seed", 0, "of the recipients' domains")
	f.StringVar((*string)(&c.TLS), "tls", "", "hosts offer STARTTLS, with certificates of this kind: ecdsa or rsa")
	f.StringVar(&c.KeyExchange, "key-exchange", "", "the only one that hosts take: X25519MLKEM768, X25519 or P-256; \"\" is any")
	f.BoolVar(&c.AD, "ad", false, "DNS answers are marked as validated")
	f.BoolVar(&c.TLSA, "tlsa", false, "hosts have TLSA records")
	f.BoolVar(&c.STS, "sts", false, "domains say that they have an MTA-STS policy, which nobody can fetch")
	f.StringVar(&o.roots, "roots", "", "a `file` for the certificate that hosts' certificates are verified with")
	f.StringVar(&o.control, "control", "127.0.0.1:8025", "where GET /report, /progress, /missing?n= and POST /reset are served")
	f.Parse(args) // ExitOnError: it returns no error
	return c, o
}

func run(c internet.Config, o options) error {
	w, err := internet.Start(c)
	if err != nil {
		return err
	}
	defer w.Close()
	if o.roots != "" {
		if err := os.WriteFile(o.roots, w.Roots(), 0o644); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", o.control)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: w.Control()}
	go server.Serve(l) // ends with server.Close
	defer server.Close()

	stop := make(chan os.Signal, 1) // from the runtime; the first signal counts
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	out := json.NewEncoder(os.Stdout)
	out.Encode(map[string]any{"port": w.Port(), "dns": w.DNSAddr(), "control": l.Addr().String()})
	<-stop
	return out.Encode(w.Report())
}
