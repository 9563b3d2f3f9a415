package mxsim

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// A login is an AUTH command under way (RFC 4954 section 4): which line comes next.
type login struct {
	step loginStep
	user string
}

type loginStep uint8

const (
	noLogin      loginStep = iota // commands come
	plainAnswer                   // AUTH PLAIN without an initial response: the credentials
	userAnswer                    // AUTH LOGIN: the user's name
	secretAnswer                  // and then the password
)

// auth handles the command.
func (x *session) auth(line, rest []byte) {
	mechanism, initial, hasInitial := strings.Cut(string(rest), " ")
	switch {
	case !x.offer().auth:
		x.violation("AUTH was not offered", line[:len("AUTH")])
		x.reply("502 5.5.1 not offered")
	case x.user != "":
		x.violation("AUTH after AUTH", line[:len("AUTH")]) // RFC 4954 section 4
		x.reply("503 5.5.1 you are known")
	case strings.EqualFold(mechanism, "PLAIN") && hasInitial:
		x.plain(initial)
	case strings.EqualFold(mechanism, "PLAIN"):
		x.challenge(plainAnswer, "")
	case strings.EqualFold(mechanism, "LOGIN") && hasInitial:
		x.login.step = userAnswer
		x.credentials([]byte(initial))
	case strings.EqualFold(mechanism, "LOGIN"):
		x.challenge(userAnswer, "Username:")
	default:
		x.violation("a mechanism of AUTH that was not offered", []byte(mechanism))
		x.reply("504 5.5.4 no such mechanism")
	}
	x.syncPoint("AUTH")
}

// challenge asks for the next line.
func (x *session) challenge(next loginStep, text string) {
	x.login.step = next
	x.reply("334 " + base64.StdEncoding.EncodeToString([]byte(text)))
}

// credentials takes a line that is no command.
func (x *session) credentials(line []byte) {
	step := x.login.step
	x.login.step = noLogin
	switch text, err := base64.StdEncoding.DecodeString(string(line)); {
	case string(line) == "*":
		x.reply("501 5.7.0 as you like") // RFC 4954 section 4: the client cancels
	case err != nil:
		x.violation("credentials that are no base64", nil)
		x.reply("501 5.5.2 no base64")
	case step == plainAnswer:
		x.plain(string(line))
	case step == userAnswer:
		x.login.user = string(text)
		x.challenge(secretAnswer, "Password:")
	default:
		x.admitUser(x.login.user, string(text))
	}
	x.syncPoint("AUTH")
}

// plain takes the credentials of RFC 4616: an identity to act as, the user and the password.
func (x *session) plain(encoded string) {
	text, err := base64.StdEncoding.DecodeString(encoded)
	f := bytes.Split(text, []byte{0})
	if err != nil || len(f) != 3 || len(f[1]) == 0 {
		x.violation("malformed AUTH PLAIN", nil)
		x.reply("501 5.5.2 credentials")
		return
	}
	x.admitUser(string(f[1]), string(f[2]))
}

// admitUser asks the hook.
func (x *session) admitUser(user, password string) {
	reply := x.s.c.Auth(user, password)
	if reply == "" {
		x.user = user
		reply = "235 2.7.0 welcome"
	}
	x.reply(reply)
}
