package main

import (
	"bytes"
	"fmt"
	"strings"
)

// sender is the envelope's. verpSender is the template of a recipient's own (VERP, variable envelope return paths), as XVERP of Postfix
// makes it with the delimiters "+=".
const (
	sender     = "list-bounces@lists.example.org"
	verpSender = "list-bounces+{local}={domain}@lists.example.org"
)

// letter is the mail of the list: an ordinary one of about 4 kB.
func letter() []byte {
	return letterTo("list@lists.example.org")
}

// letterTo is a letter that no other address gets.
func letterTo(to string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: The list <list@lists.example.org>\r\nTo: %s\r\nSubject: News\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n", to)
	fmt.Fprintf(&b, "Message-ID: <bench.%s>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n", to)
	for b.Len() < 4000 {
		b.WriteString(strings.Repeat("All the news that is fit to send. ", 2) + "\r\n")
	}
	return b.Bytes()
}
