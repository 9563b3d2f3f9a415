package lists

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Lines as smtpd(8) and pickup(8) write them. The table is asked as cleanup(8) asks it: with the whole header, folded.
func TestReceivedTable(t *testing.T) {
	needServers(t)
	for _, c := range []struct{ rule, header, want string }{
		{"from this machine by SMTP",
			`Received: from lists (localhost [127.0.0.1])
	by lists.test (Postfix) with ESMTP id E6C1C9CC8B7;
	Sun, 22 Nov 2026 05:39:05 +0000 (UTC)`,
			`Received: from lists (localhost [127.0.0.1])
	by lists.test (Postfix) with ESMTP;
	Sun, 22 Nov 2026 05:39 +0000 (UTC)`},
		{"a single recipient is named no more",
			`Received: from lists (localhost [IPv6:::1])
	by lists.test (Postfix) with UTF8SMTP id E6C1
	for <a@b.test>; Sun, 22 Nov 2026 05:39:05 +0000 (UTC)`,
			`Received: from lists (localhost [IPv6:::1])
	by lists.test (Postfix) with UTF8SMTP; Sun, 22 Nov 2026 05:39 +0000 (UTC)`},
		{"encrypted",
			`Received: from lists (localhost [127.0.0.1])
	(using TLSv1.3 with cipher X (256/256 bits))
	(No client certificate requested)
	by lists.test (Postfix) with ESMTPS id 4bD8Yk0xQ0z1;
	Sun, 22 Nov 2026 05:39:05 +0000 (UTC)`,
			`Received: from lists (localhost [127.0.0.1])
	(using TLSv1.3 with cipher X (256/256 bits))
	(No client certificate requested)
	by lists.test (Postfix) with ESMTPS;
	Sun, 22 Nov 2026 05:39 +0000 (UTC)`},
		{"from this machine by sendmail(1)",
			`Received: by lists.test (Postfix, from userid 38)
	id 8F2A21; Sun, 22 Nov 2026 05:39:05 +0000 (UTC)`,
			"Received: by lists.test (Postfix, from userid 38); Sun, 22 Nov 2026 05:39 +0000 (UTC)"},
		{"from elsewhere it stays",
			`Received: from mx (mx.test [192.0.2.1])
	by lists.test (Postfix) with ESMTP id E6C1C9CC8B7;
	Sun, 22 Nov 2026 05:39:05 +0000 (UTC)`, ""},
		{"of another program it stays",
			"Received: from mx (localhost [127.0.0.1]) by x.test (8.17.1) with ESMTP id 4AM5d5; Sun, 22 Nov 2026 05:39:05 GMT", ""},
	} {
		t.Run(c.rule, func(t *testing.T) { assert.Equal(t, c.want, replacement(t, c.header), "%s", c.rule) })
	}
}

// replacement is what the table makes of a header; "" when it lets it be.
func replacement(t *testing.T, header string) string {
	t.Helper()
	p := exec.Command("postmap", "-h", "-q", "-", "regexp:../../patches/lists/received.regexp")
	p.Stdin = strings.NewReader(header + "\n\n")
	out, err := p.CombinedOutput()
	if err != nil {
		require.Empty(t, string(out), "the table can be read: %v", err)
		return ""
	}
	_, text, found := strings.Cut(string(out), "\tREPLACE ")
	require.True(t, found, "%q is a replacement", out)
	return strings.TrimSuffix(text, "\n")
}
