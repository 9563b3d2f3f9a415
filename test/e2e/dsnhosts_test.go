package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/internet"
	"github.com/smtpfeed/smtpfeed/test/mxsim"
)

// Other host MTAs than Postfix hand the duty to notify over as well, where they are offered that.
func TestOtherHostMTAsHandTheDutyToNotifyOver(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		start func(t *testing.T, c systemConfig) (hosts.Host, *system)
	}{
		{"sendmail", func(t *testing.T, c systemConfig) (hosts.Host, *system) {
			s := startSendmailSystem(t, c, "")
			return s.sendmail, &s.system
		}},
		{"Exim", func(t *testing.T, c systemConfig) (hosts.Host, *system) {
			b := startExim(t, "", c, "dsn_advertise_hosts = *")
			return b.host, b.system
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			knows, simple, mine := startExchanger(t, mxsim.Config{DSN: true}), startExchanger(t, mxsim.Config{}), startExchanger(t, mxsim.Config{})
			h, s := row.start(t, systemConfig{
				world: internet.Config{Domains: 1, Hosts: 1},
				feed: feedd.Config{
					LMTP:   "dsn = true",
					Routes: map[string][]string{"knows.test": {knows.host}, "simple.test": {simple.host}},
					Tables: fmt.Sprintf("[submission]\nhost = %q\n", mine.host), // where the host MTA would be
				},
			})
			ask(t, h, " RET=HDRS ENVID=beside", letter, asked{"a@knows.test", ofSuccess + " ORCPT=rfc822;first@knows.test"}, asked{"b@knows.test", ofNothing},
				asked{"a@simple.test", ofSuccess + " ORCPT=rfc822;first@simple.test"}, asked{"b@simple.test", ofTrouble})
			passedOn(t, knows, 2)
			passedOn(t, simple, 2)
			require.Empty(t, settled(t, h, feedd.Patience), "nothing is left in the queue")
			assert.Equal(t, "NOTIFY=SUCCESS ORCPT=rfc822;first@knows.test", wishes(knows)["a@knows.test"], "the next hop knows what was asked for")
			assert.Equal(t, "NOTIFY=NEVER", wishes(knows)["b@knows.test"], "of each recipient")
			heard := mine.notifications(t)
			assert.Equal(t, map[string]string{"a@simple.test": "relayed 2.0.0"}, told(t, heard), "smtpfeed tells of the hop that does not know DSN")
			assert.Equal(t, "beside", heard[0].fields["original-envelope-id"], "in the words of the sender")
			assert.Equal(t, "first@simple.test", heard[0].recipients[0]["original-recipient"], "in the words of the sender")
			assert.Empty(t, s.returns.contents(), "and the host MTA tells nothing")
			assert.Empty(t, append(knows.Violations(), simple.Violations()...), "no host finds fault")
		})
	}
}
