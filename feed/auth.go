package feed

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// maxChallenges bounds the dialogue of one AUTH: LOGIN has two.
const maxChallenges = 8

var status478 = wire.Enhanced{Class: 4, Subject: 7, Detail: 8} // RFC 4954 section 6, of class 4: mail waits until the operator has seen to it

// An authError is why we could not say who we are. It is the operator's to mend, so mail waits.
type authError struct {
	reason string
	status wire.Enhanced
}

func (e *authError) Error() string { return "authentication: " + e.reason }

// authenticate says who we are, where the operator gave us a name for this host, and never to somebody who might be another.
func (s *speaker) authenticate(d dial) closing {
	who := d.policy.auth
	if who == nil {
		return closing{}
	}
	if !s.tls.verified && !d.policy.inClear {
		return s.unauthenticated(d, "the session has no verified TLS, so the credentials are not sent (auth_in_clear allows it)")
	}
	offered := s.mechanisms(who)
	if len(offered) == 0 {
		return s.unauthenticated(d, fmt.Sprintf("the host offers none of the mechanisms PLAIN and LOGIN: %q", s.caps.Auth))
	}
	for i, mechanism := range offered {
		r, err := s.exchange(clientOf(mechanism, who))
		// RFC 4954 sections 4 and 6: 504 is no such mechanism, and 534 one that will not do for this user. Another one may.
		if err == nil && (r.Code == 504 || r.Code == 534) && i+1 < len(offered) {
			continue
		}
		s.who = who
		return s.judgeAuth(d, mechanism, r, err)
	}
	panic("BUG: no mechanism was the last")
}

// judgeAuth is what the end of an AUTH means.
func (s *speaker) judgeAuth(d dial, mechanism string, r wire.Reply, err error) closing {
	switch {
	case errors.As(err, new(*wire.SyntaxError)), errors.As(err, new(*protocolError)):
		// Its text would be quoted, and may be what we said.
		return closing{stage: stageAuth, err: &protocolError{stage: stageAuth, reason: "gave an answer that makes no sense"}}
	case err != nil:
		return closing{stage: stageAuth, err: brokenAt(stageAuth, err)}
	case r.Code/100 == 4: // RFC 4954 section 6: the server has trouble of its own
		s.quitNow()
		return closing{stage: stageAuth, err: &authError{reason: mechanism + " was put off: " + s.who.hide(r).String(), status: statusOf(r, 4)}}
	case r.Code == 535:
		return s.unauthenticated(d, mechanism+" was refused, check the credentials: "+s.who.hide(r).String())
	case r.Code != 235:
		return s.unauthenticated(d, mechanism+" was refused: "+s.who.hide(r).String())
	}
	return closing{}
}

// unauthenticated ends the session, and tells the operator.
func (s *speaker) unauthenticated(d dial, why string) closing {
	s.config.Log.Error("relay: "+wire.Clean(why, 300), "addr", d.to.String(), "host", d.name, "credentials", d.policy.auth.Source)
	s.quitNow()
	return closing{stage: stageAuth, err: &authError{reason: why, status: status478}}
}

// mechanisms are those that the host offers and we may use, in the order in which we like them.
func (s *speaker) mechanisms(who *Credentials) []string {
	want := who.Mechanisms
	if len(want) == 0 {
		want = []string{sasl.Plain, sasl.Login}
	}
	return slices.DeleteFunc(slices.Clone(want), func(m string) bool { return !slices.Contains(s.caps.Auth, m) || clientOf(m, who) == nil })
}

// clientOf is our side of a mechanism; nil: it is none of ours.
func clientOf(mechanism string, who *Credentials) sasl.Client {
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainClient("", who.User, who.Password)
	case sasl.Login:
		return &login{words: []string{who.User, who.Password}}
	}
	return nil
}

// A login is the client of LOGIN, which no RFC has. Servers ask in many words, or in none: first for the name, then for the password.
type login struct{ words []string }

func (l *login) Start() (mechanism string, first []byte, err error) { return sasl.Login, nil, nil }

func (l *login) Next([]byte) ([]byte, error) {
	if len(l.words) == 0 {
		return nil, errors.New("asked for more than name and password")
	}
	word := l.words[0]
	l.words = l.words[1:]
	return []byte(word), nil
}

// hide is a reply without its text if that repeats some of what the server was told: it goes into logs, to the host MTA, and with a bounce to
// the sender.
func (c *Credentials) hide(r wire.Reply) wire.Reply {
	if c != nil && c.repeated(r.Text) {
		r.Text = "(its text repeats the credentials)"
	}
	return r
}

// repeated says that a text has some of the secrets.
func (c *Credentials) repeated(text string) bool {
	text = strings.Join(strings.Fields(text), "")
	for _, secret := range []string{c.Password, base64.StdEncoding.EncodeToString([]byte(c.Password)),
		base64.StdEncoding.EncodeToString([]byte("\x00" + c.User + "\x00" + c.Password))} {
		secret = strings.Join(strings.Fields(secret), "")
		for i := 0; i+secretRun <= len(secret) || i == 0; i++ {
			if strings.Contains(text, secret[i:min(i+secretRun, len(secret))]) {
				return true
			}
		}
	}
	return false
}

// secretRun is how many octets in a row of a secret give some of it away.
const secretRun = 6

// maxAuthLine is how long AUTH with its initial response may be (RFC 4954 section 4: "no longer than 512 octets").
const maxAuthLine = 512

// exchange is the AUTH command with its challenges (RFC 4954 section 4).
func (s *speaker) exchange(client sasl.Client) (wire.Reply, error) {
	mechanism, first, err := client.Start()
	if err != nil {
		return wire.Reply{}, err
	}
	command := "AUTH " + mechanism
	if b := base64.StdEncoding.EncodeToString(first); b != "" && len(command)+len(b)+len(" \r\n") <= maxAuthLine {
		command, first = command+" "+b, nil
	}
	r, err := s.ask(command+"\r\n", stageAuth)
	for range maxChallenges {
		if err != nil || r.Code != 334 {
			return r, err
		}
		if first != nil {
			r, err = s.ask(base64.StdEncoding.EncodeToString(first)+"\r\n", stageAuth)
			first = nil
			continue
		}
		challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.Text))
		if err != nil {
			return r, &protocolError{stage: stageAuth, reason: "sent a challenge that is not base64"}
		}
		answer, err := client.Next(challenge)
		if err != nil {
			return s.ask("*\r\n", stageAuth) // RFC 4954 section 4: cancels
		}
		r, err = s.ask(base64.StdEncoding.EncodeToString(answer)+"\r\n", stageAuth)
		if err != nil {
			return r, err
		}
	}
	return r, errors.New("too many challenges")
}
