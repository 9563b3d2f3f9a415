package conformance

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
)

// A policyHost is a web server that has a domain's MTA-STS policy (RFC 8461 section 3.3). The row's zone names its address.
type policyHost struct {
	domain string // "one.test"
	addr   string // 192.0.2.80, if empty
	text   string // the policy; lines end in LF here
	tls    *secured
	serve  http.HandlerFunc // instead of the policy
}

// policy is the text of one that names exchangers.
func policy(mode string, mx ...string) string {
	text := "version: STSv1\nmode: " + mode + "\nmax_age: 86400\n"
	for _, name := range mx {
		text += "mx: " + name + "\n"
	}
	return text
}

// stsRecords announce policies of one.test, at 192.0.2.80.
const stsRecords = "_mta-sts.one.test. TXT \"v=STSv1; id=1;\"\nmta-sts.one.test. A 192.0.2.80\n"

// publish starts the row's web servers.
func (p *play) publish() error {
	for _, h := range p.row.policies {
		if h.addr == "" {
			h.addr = "192.0.2.80"
		}
		if h.tls == nil {
			h.tls = inOrder()
		}
		s := *h.tls
		if len(s.order.Names) == 0 {
			s.order.Names = []string{"mta-sts." + h.domain}
		}
		l, err := p.world.listenHTTPS(p.names.addr(h.addr))
		if err != nil {
			return err
		}
		web := &http.Server{Handler: h.handler(p.names), ErrorLog: log.New(io.Discard, "", 0)}
		p.web = append(p.web, web)
		go web.Serve(tls.NewListener(l, s.server(s.identity(p.names, h.addr))))
	}
	return nil
}

func (h policyHost) handler(n names) http.Handler {
	if h.serve != nil {
		return h.serve
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/mta-sts.txt" || r.Host != n.text("mta-sts."+h.domain) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, n.text(h.text))
	})
}
