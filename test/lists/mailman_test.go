package lists

import (
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

// A mailman is what Mailman is told.
type mailman struct {
	maxRecipients int  // [mta]max_recipients: 500 by default, 0 is all
	verp          bool // [mta]verp_delivery_interval: 1, and not 0
}

// hand gives Postfix a list as Mailman does: the code of its BulkDelivery, or of its VERPDelivery, which is one mail a recipient.
func (c mailman) hand(t *testing.T, s *system, to []string) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.postfix.Addr())
	require.NoError(t, err, "Postfix has an address")
	how := "bulk"
	if c.verp {
		how = "verp"
	}
	packages := unpacked("mailman3", "usr/lib/python3/dist-packages")
	p := exec.Command("/usr/bin/python3", "-B", "testdata/mailman.py", packages, host, port, strconv.Itoa(c.maxRecipients), how)
	p.Stdin = strings.NewReader(strings.Join(to, "\n"))
	out, err := p.CombinedOutput()
	require.NoError(t, err, "Mailman hands the list over: %s", out)
}

// mailmansSender is what Mailman makes by its verp_format, "${bounces}+${local}=${domain}".
const mailmansSender = "list-bounces+{local}={domain}@" + listDomain

// mailmansRegexp is Mailman's verp_regexp, by which it knows whose a bounce is.
var mailmansRegexp = regexp.MustCompile(`^(?P<bounces>[^+]+?)\+(?P<local>[^=]+)=(?P<domain>[^@]+)@.*$`)

// With the rule a list is personal and handed over whole; Mailman does the same by a mail for each recipient.
func TestPersonalSendersAsMailmanMakesThem(t *testing.T) {
	const rule = `
[[verp]]
sender = "list-bounces@` + listDomain + `"
template = "{sender_local}+{local}={domain}@` + listDomain + `"
`
	w := batchedWorld()
	w.Sender = mailmansSender
	to := internet.List(w, 300)
	for _, r := range []run{
		{what: "by Mailman", hand: mailman{verp: true}.hand},
		{what: "by smtpfeed", hand: mailman{}.hand, tables: rule},
	} {
		t.Run(r.what, func(t *testing.T) {
			r.world, r.to = w, to
			assert.Equal(t, len(to), r.measure(t).transactions, "each has a transaction of his own")
		})
	}
	m := mailmansRegexp.FindStringSubmatch(internet.Sender(mailmansSender, to[7]))
	require.NotNil(t, m, "Mailman understands the sender")
	assert.Equal(t, to[7], m[2]+"@"+m[3], "and finds the member in it")
}
