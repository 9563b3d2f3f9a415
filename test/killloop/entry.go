package killloop

import "bytes"

// A Kind is what an Entry tells.
type Kind string

const (
	Taken  Kind = "taken"  // a message arrived whole and is kept. Written before its 250
	Told   Kind = "told"   // the 250 of these messages was given to the kernel. Written afterwards
	Broken Kind = "broken" // the client broke the protocol
)

// An Entry is a line of a recorder's file, written with one write(2).
type Entry struct {
	At     int64    `json:"at"`              // nanoseconds since 1970
	Since  int64    `json:"since,omitempty"` // when the session began, of one that is taken
	Kind   Kind     `json:"kind"`
	IDs    []string `json:"ids,omitempty"` // of messages; one that is taken has one
	From   string   `json:"from,omitempty"`
	To     []string `json:"to,omitempty"`
	Digest string   `json:"digest,omitempty"` // of the content
	What   string   `json:"what,omitempty"`   // the rule that was broken
}

// Reply is what a recorder answers to a message that it has taken. smtpfeed repeats it in its delivery record.
func Reply(id string) string { return replyText + id }

const replyText = "250 2.0.0 taken as "

// Told finds the messages whose replies stand in octets on their way to the client.
func ToldIn(octets []byte) (ids []string) {
	for line := range bytes.Lines(octets) {
		if id, ok := idIn(string(bytes.TrimRight(line, "\r\n"))); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// idIn is the message that a reply is about.
func idIn(reply string) (id string, ok bool) {
	if len(reply) <= len(replyText) || reply[:len(replyText)] != replyText {
		return "", false
	}
	return reply[len(replyText):], true
}
