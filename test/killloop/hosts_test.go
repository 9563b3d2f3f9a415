package killloop

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
)

// A hostMTA is one whose delivering processes can be found.
type hostMTA interface {
	hosts.Host
	Agents() []int
}

// startPostfix makes one that does not wait for minutes before it tries again what died.
func startPostfix(t *testing.T, d *feedd.Daemon) hostMTA {
	t.Helper()
	p, err := hosts.NewPostfix(hosts.Setup{Dir: feedd.NewDir(t, "postfix-"), Feed: "unix:" + d.Socket(), Settings: []string{
		"smtpfeed_destination_recipient_limit = 100", // several hand-overs of a list at once
		"queue_run_delay = 1s", "minimal_backoff_time = 1s", "maximal_backoff_time = 1s",
		"service_throttle_time = 1s", // master(8), after a process that died in its first delivery
		"transport_retry_time = 1s",  // the queue manager, after one that died in any
		// When postlogd(8) dies while its socket is full, all processes that log wait for it, and master(8) with them, which
		// would start it again. A disk that is slow for ten seconds must not do that.
		"postlogd_watchdog_timeout = 600s",
	}})
	require.NoError(t, err, "there is an instance of Postfix")
	return startHost(t, p)
}

func startSendmail(t *testing.T, d *feedd.Daemon) hostMTA {
	t.Helper()
	m, err := hosts.NewSendmail(hosts.Setup{Dir: feedd.NewDir(t, "sendmail-"), Feed: "unix:" + d.Socket()})
	require.NoError(t, err, "there is an instance of sendmail")
	return startHost(t, m)
}

func startHost(t *testing.T, h hostMTA) hostMTA {
	t.Helper()
	feedd.ShowOnFailure(t, h.Log())
	require.NoError(t, h.Start(), "the host MTA starts")
	t.Cleanup(func() { assert.NoError(t, h.Stop(), "the host MTA ends") })
	return h
}
