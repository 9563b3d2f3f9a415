package conformance

import (
	"crypto/tls"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// authority is whom mailers trust. There is one for all rows: mailers that rows share are told of it when they start.
var authority = sync.OnceValue(func() *mxsim.Authority { return mxsim.NewAuthority("conformance root") })

// A secured says how a host speaks TLS. The zero value is one in order: its name, signed by authority.
type secured struct {
	order   mxsim.Order       // of its certificate; no Names: the host's
	self    bool              // it is self-signed
	foreign bool              // its authority is nobody's
	depth   int               // authorities between
	config  func(*tls.Config) // what else is otherwise
	offer   []string          // keywords inside TLS; nil: those of plaintext, without STARTTLS
	sealed  bool              // records of any kind may be sent
}

// hostName is the name of the host at an address of a row's: mx1.test is at 192.0.2.1.
func hostName(addr string) string { return "mx" + addr[strings.LastIndexByte(addr, '.')+1:] + ".test" }

// identity is a host's certificate.
func (s secured) identity(n names, addr string) *mxsim.Identity {
	o := s.order
	o.Names = n.all(o.Names)
	if len(o.Names) == 0 && o.CommonName == "" {
		o.Names = []string{n.text(hostName(addr))}
	}
	if s.self {
		return mxsim.SelfSigned(o)
	}
	a := authority()
	if s.foreign {
		a = mxsim.NewAuthority("nobody's root")
	}
	for i := range s.depth {
		a = a.Sub(fmt.Sprint("between ", i))
	}
	return a.IssueOrder(o)
}

// server is a server's configuration.
func (s secured) server(i *mxsim.Identity) *tls.Config {
	c := i.Config()
	if s.config != nil {
		s.config(c)
	}
	return c
}

// identities are the certificates of a row's hosts, by the first label of their names.
type identities map[string]*mxsim.Identity

// association is "TLSA 3 1 1 of:mx1" in a zone: the record that fits a host's certificate.
var association = regexp.MustCompile(`TLSA (\d) (\d) (\d) of:(\w+)`)

// records fills in what a zone says of certificates, and the port that it is about.
func (ids identities) records(zone string, port int) string {
	zone = association.ReplaceAllStringFunc(zone, func(s string) string {
		f := association.FindStringSubmatch(s)
		i := ids[f[4]]
		if i == nil {
			return "TLSA 3 1 1 " + nulls // a host that has none, or is not there
		}
		return "TLSA " + i.TLSARecord(digit(f[1]), digit(f[2]), digit(f[3]))
	})
	return strings.ReplaceAll(zone, "_25._tcp", "_"+strconv.Itoa(port)+"._tcp")
}

func digit(s string) uint8 { return s[0] - '0' }

// Kinds of certificates.
func inOrder() *secured    { return &secured{} }
func selfSigned() *secured { return &secured{self: true} }
func strangers() *secured  { return &secured{foreign: true} }
func expired() *secured    { return &secured{order: mxsim.Order{Validity: mxsim.Expired}} }
func notYet() *secured     { return &secured{order: mxsim.Order{Validity: mxsim.NotYetValid}} }
func misnamed() *secured   { return &secured{order: mxsim.Order{Names: []string{"mx.example.org"}}} }
func nameless() *secured   { return &secured{order: mxsim.Order{CommonName: "mx1.test"}} }

// with is a host in order whose server is configured otherwise.
func with(config func(*tls.Config)) *secured { return &secured{config: config} }

// A channel is how the contents of a row's messages must come to where they come.
type channel uint8

const (
	anyhow  channel = iota
	inTLS           // encrypted, wherever
	inClear         // the best exchanger gets them in plaintext
)

// checkChannel looks at how contents came.
func (p *play) checkChannel() {
	for _, h := range p.hosts {
		h.locked(func() {
			for _, c := range h.seen {
				for _, t := range c.transactions {
					switch arrived := len(t.body) > 0; {
					case !arrived:
					case p.row.channel == inTLS && c.channel == nil:
						p.fail("a content came to %s in plaintext", h.addr)
					case p.row.channel == inClear && h == p.best && c.channel != nil:
						p.fail("a content came to %s inside TLS", h.addr)
					}
				}
			}
		})
	}
}
