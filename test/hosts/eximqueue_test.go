package hosts

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEximTellsWhoIsLeftAndWhy(t *testing.T) {
	const listed = `25m   220 1xV0It-0006oU-3C <list-owner@sender.test>
        D done@d0.0.example
          grey286@d646.6.example
          held@d1.1.example

 4h  1.2K 1xV0Ix-0006sN-2c <> *** frozen ***
          list-owner@sender.test

`
	assert.Equal(t, []Queued{
		{ID: "1xV0It-0006oU-3C", Address: "grey286@d646.6.example"},
		{ID: "1xV0It-0006oU-3C", Address: "held@d1.1.example"},
		{ID: "1xV0Ix-0006sN-2c", Address: "list-owner@sender.test"},
	}, parseEximQueue(listed), "those that are done are left out")
}

func TestEximReasonsAreTheLatestOnes(t *testing.T) {
	const log = `2026-11-22 05:39:59 1xV0It-0006oU-3C <= list-owner@sender.test H=(client.hosts.test) [127.0.0.1] P=esmtp S=220
2026-11-22 05:39:59 1xV0It-0006oU-3C == a@b.example R=smtpfeed T=smtpfeed defer (111): Connection refused
2026-11-22 05:40:00 1xV0It-0006oU-3C == a@b.example R=smtpfeed T=smtpfeed defer (-46) H=127.0.0.1 [127.0.0.1]: LMTP error after DATA: 450 later
2026-11-22 05:40:00 1xV0It-0006oU-3C == c@d.example R=smtpfeed T=smtpfeed defer (-54): retry time not reached for any host for 'd.example'
2026-11-22 05:40:01 1xV0It-0006oU-3C == a@b.example R=smtpfeed T=smtpfeed defer (-54): retry time not reached for any host for 'b.example'
`
	e := &Exim{setup: Setup{Dir: t.TempDir()}}
	require.NoError(t, os.Mkdir(e.setup.path("log"), 0o755), "there is a place for the log")
	require.NoError(t, os.WriteFile(filepath.Clean(e.Log()), []byte(log), 0o644), "there is a log")
	reasons, err := e.reasons()
	require.NoError(t, err, "it can be read")
	assert.Equal(t, map[deferral]string{
		{"1xV0It-0006oU-3C", "a@b.example"}: "H=127.0.0.1 [127.0.0.1]: LMTP error after DATA: 450 later",
		{"1xV0It-0006oU-3C", "c@d.example"}: "retry time not reached for any host for 'd.example'",
	}, reasons, "that it is not time yet counts only when nothing else is known")
}
