package lmtp

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/smtpfeed/smtpfeed/feed"
	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// maxText bounds what follows the codes in a reply: with "550 5.999.999 " before and CRLF behind it stays below 500 octets,
// since RFC 5321 section 4.5.3.1.5 gives a reply line 512 and hosts cut what is longer.
const maxText = 480

// maxName bounds an exchanger's name in a text: a DNS name.
const maxName = 255

// status is what the host MTA is told about a recipient. This is the only place that decides it.
//
// Hosts understand few codes as final replies. sendmail closes at 421 and defers all later recipients though they are
// delivered, and bounces at 5xx whose second digit is not 5; at 3xx both bounce. So the remote's own code stands in the text.
func status(o *feed.Outcome) *smtp.SMTPError {
	code := codeOf(o)
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced(code, o.Status), Message: text(o)}
}

func codeOf(o *feed.Outcome) int {
	switch o.Class {
	case feed.Delivered:
		return 250
	case feed.Failed:
		if o.Reply.Code == 554 {
			return 554
		}
		return 550
	}
	// Whatever else a class might be: the host keeps the mail.
	switch o.Reply.Code {
	case 450, 451, 452:
		return o.Reply.Code
	}
	return 451
}

// enhanced has the class of the code, as RFC 2034 section 4 demands, or is X.0.0.
func enhanced(code int, e wire.Enhanced) smtp.EnhancedCode {
	class := code / 100
	if int(e.Class) != class || e.Subject > 999 || e.Detail > 999 {
		return smtp.EnhancedCode{class, 0, 0}
	}
	return smtp.EnhancedCode{class, int(e.Subject), int(e.Detail)}
}

// text is "mx1.example[192.0.2.1]:25 said: 550 5.1.1 no such user", or "mx1.example[192.0.2.1]:25: connection refused": the host's
// log and the bounce name only us otherwise. How TLS went stands behind the address, where all of the words that follow still fit.
func text(o *feed.Outcome) string {
	where, how, what := via(o.Via), "", ""
	if where != "" {
		how = secured(o.Via)
	}
	switch {
	case o.Reply.Code != 0:
		what = o.Reply.String()
		if where != "" {
			what = said(o) + what
		}
	case o.Err != nil:
		what = behind(where, o.Err.Error())
	default:
		what = behind(where, o.Class.String())
	}
	if what = wire.Clean(what, maxText); len(where)+len(how)+len(what) <= maxText {
		where += how
	}
	return wire.Clean(where+what, maxText)
}

// behind is what we say of where.
func behind(where, what string) string {
	if where == "" {
		return what
	}
	return ": " + what
}

// secured is " (TLSv1.3 TLS_AES_128_GCM_SHA256, dane verified)", or less where no policy demanded TLS or nothing was verified; "" for
// plaintext.
func secured(v *feed.Via) string {
	if v.TLS == "" {
		return ""
	}
	how := " (" + v.TLS
	if v.Policy != "" {
		how += ", " + v.Policy
		if v.Verified {
			how += " verified"
		}
	}
	return wire.Clean(how+")", maxName)
}

// said stands between the host and its words. Those of an earlier attempt may be days old, and name an ID of that day.
func said(o *feed.Outcome) string {
	if o.Earlier {
		return " said in an earlier attempt: "
	}
	return " said: "
}

// via is "mx1.example[192.0.2.1]:25", or less where less is known. It is cut first, to leave room for the remote's words.
func via(v *feed.Via) string {
	if v == nil {
		return ""
	}
	name := wire.Clean(v.MX, maxName)
	if v.Addr == (netip.AddrPort{}) {
		return name
	}
	if strings.HasPrefix(name, "[") {
		name = "" // an address literal: the address tells it
	}
	return name + "[" + v.Addr.Addr().Unmap().WithZone("").String() + "]:" + strconv.Itoa(int(v.Addr.Port()))
}

// lineOf is a reply as it goes over the wire, without its line end.
func lineOf(e *smtp.SMTPError) string {
	b := strconv.AppendInt(make([]byte, 0, 16+len(e.Message)), int64(e.Code), 10)
	for i, n := range e.EnhancedCode {
		b = strconv.AppendInt(append(b, " .."[i]), int64(n), 10)
	}
	return string(append(append(b, ' '), e.Message...))
}

// told is what go-smtp says to its recipients when all have been answered; nobody hears it (see replies.go).
func told() *smtp.SMTPError {
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: string(rune(mark))}
}

// refuse is a reply of our own. go-smtp takes any other error for a 554, which bounces.
func refuse(code int, e smtp.EnhancedCode, why string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: e, Message: wire.Clean(why, maxText)}
}

// unsettled is for recipients nobody knows more about.
func unsettled() *smtp.SMTPError {
	return refuse(451, smtp.EnhancedCode{4, 3, 0}, "smtpfeed could not handle this, try again later")
}

// broken is for a content that did not come to its end.
func broken() *smtp.SMTPError {
	return refuse(451, smtp.EnhancedCode{4, 4, 2}, "the content was broken off")
}

// overMemory is for what would not fit beside the contents being delivered.
func overMemory() *smtp.SMTPError {
	return refuse(452, smtp.EnhancedCode{4, 3, 1}, "too many messages are being delivered, try again later")
}

// tooLarge is 554 and not the 552 of RFC 1870 section 6.1, which hosts may take for a full mailbox.
func tooLarge(limit int64) *smtp.SMTPError {
	return refuse(554, smtp.EnhancedCode{5, 3, 4}, "message larger than "+strconv.FormatInt(limit, 10)+" octets")
}

// needsUTF8 is for an address above ASCII whose transaction was not declared to have any (RFC 6531 section 3.5, which says
// 553; hosts understand 550).
func needsUTF8() *smtp.SMTPError {
	return refuse(550, smtp.EnhancedCode{5, 6, 7}, "address needs SMTPUTF8")
}

// overdue is the outcome of recipients that the Mailer did not settle in time.
func overdue() *feed.Outcome {
	return &feed.Outcome{Class: feed.Deferred, Status: wire.Enhanced{Class: 4, Subject: 4, Detail: 7}, Err: errOverdue}
}
