package lmtp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestQueueID(t *testing.T) {
	tests := []struct{ rule, message, id string }{
		{"Postfix over SMTP", "Received: from mail.example (mail.example [192.0.2.1])\r\n\t(using TLSv1.3 with cipher X (256/256 bits))\r\n\t(No client certificate requested)\r\n\tby host.example (Postfix) with ESMTPS id 4cXyz01ABC\r\n\tfor <u@x.example>; Sat, 21 Nov 2026 00:00:00 +0000 (UTC)\r\n", "4cXyz01ABC"},
		{"Postfix from sendmail(1)", "Received: by host.example (Postfix, from userid 0)\r\n\tid 0A1B2C3D4E; Sat, 21 Nov 2026 00:00:00 +0000 (UTC)\r\n", "0A1B2C3D4E"},
		{"sendmail", "Received: from m (m [192.0.2.1])\r\n\tby h.example (8.17.1.9/8.17.1.9) with ESMTPS id 5ALBx012345\r\n\t(version=TLSv1.3 cipher=X bits=256 verify=NO)\r\n\tfor <u@x.example>; Sat, 21 Nov 2026\r\n", "5ALBx012345"},
		{"sendmail, submitted", "Received: (from root@localhost)\r\n\tby h.example (8.17.1.9/8.17.1.9/Submit) id 5ALBx012345;\r\n\tSat, 21 Nov 2026\r\n", "5ALBx012345"},
		{"Exim", "Received: from m ([192.0.2.1] helo=m)\r\n\tby h.example with esmtps  (TLS1.3) tls TLS_X\r\n\t(Exim 4.96)\r\n\t(envelope-from <a@x.example>)\r\n\tid 1vMabc-0001Ab-2C\r\n\tfor u@x.example;\r\n\tSat, 21 Nov 2026\r\n", "1vMabc-0001Ab-2C"},
		{"behind other fields", "Return-Path: <a@x.example>\r\nDelivered-To: u\r\nRECEIVED: by h id Q1; now\r\n", "Q1"},
		{"the topmost counts", "Received: by h id Q1; now\r\nReceived: by h id Q2; then\r\n", "Q1"},
		{"the topmost counts, though it has none", "Received: by h; now\r\nReceived: by h id Q2; then\r\n", ""},
		{"a host that calls itself id", "Received: from id (x) by h id Q1; now\r\n", "Q1"},
		{"an id in a comment", "Received: from m (x id EVIL) by h id Q1; now\r\n", "Q1"},
		{"an id behind the date", "Received: by h; now id EVIL\r\n", ""},
		{"octets that no queue id has", "Received: by h id Q\x1b[2J; now\r\n", ""},
		{"too long", "Received: by h id " + strings.Repeat("Q", 65) + "; now\r\n", ""},
		{"in the body", "Subject: x\r\n\r\nReceived: by h id Q1; now\r\n", ""},
		{"too far down", strings.Repeat("X: y\r\n", 3000) + "Received: by h id Q1; now\r\n", ""},
		{"no message", "", ""},
		{"no line end", "Received: by h id Q1", "Q1"},
		{"comment without end", "Received: by h (x id Q1; now\r\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			for _, size := range []int{1, 7, 1 << 20} {
				assert.Equal(t, tt.id, queueID(chunks(tt.message, size)), "the queue id, in chunks of %d", size)
			}
		})
	}
}

func chunks(s string, size int) (list [][]byte) {
	for len(s) > 0 {
		n := min(size, len(s))
		list = append(list, []byte(s[:n]))
		s = s[n:]
	}
	return list
}

func FuzzQueueID(f *testing.F) {
	f.Add("Received: by h (a (b\\)) c) id Q1; now\r\n\tid x\r\n", 3)
	f.Fuzz(func(t *testing.T, message string, size int) {
		id := queueID(chunks(message, max(1, size%100)))
		assert.True(t, isQueueID(id), "whatever is found can stand in a log: %q", id)
	})
}
