package main

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryHostIsMeasuredByDefault(t *testing.T) {
	o := parseHosts(nil)
	chosen, err := chooseKinds(o.hosts)
	require.NoError(t, err, "the default names hosts that exist")
	assert.Len(t, chosen, len(kinds()), "all of them")
	ways, err := chooseWays(o.ways)
	require.NoError(t, err, "and ways that exist")
	assert.Equal(t, []way{shipped, tuned, fed}, ways, "all of them")
	lists, err := chooseLists(o.lists, o.small)
	require.NoError(t, err, "and lists")
	require.Len(t, lists, 2, "a short one and a long one")
	assert.Equal(t, lists[0].world, lists[1].world, "in the same world, so that only their length differs")
	assert.Equal(t, patience, o.patience, "with patience")
	assert.Equal(t, 3, o.rounds, "in rounds")
}

func TestFlagsOfHosts(t *testing.T) {
	o := parseHosts([]string{"-hosts", "exim", "-lists", "500", "-ways", "tuned", "-most", "20", "-patience", "1m", "-small", "-write", "-rounds", "1"})
	assert.Equal(t, hostOptions{options: o.options, hosts: "exim", lists: "500", ways: "tuned", most: 20, patience: time.Minute}, o, "each has its place")
	assert.True(t, o.small && o.write && o.rounds == 1, "those of all modes too")
	for name, f := range map[string]func() error{
		"a host":              func() error { _, err := chooseKinds("postfix,qmail"); return err },
		"a way":               func() error { _, err := chooseWays("tuned,fast"); return err },
		"a list of no number": func() error { _, err := chooseLists("10000,many", false); return err },
		"a list of nobody":    func() error { _, err := chooseLists("0", false); return err },
	} {
		assert.Error(t, f(), "%s that does not exist", name)
	}
}

func TestListsAreShortestFirst(t *testing.T) {
	lists, err := chooseLists("100000,10000", true)
	require.NoError(t, err)
	assert.Equal(t, []string{"1,000", "10,000"}, []string{lists[0].key, lists[1].key}, "the short one tells whether the long one has a chance; small is a tenth")
	assert.Equal(t, "1,000 recipients, 1,000 domains on 20 hosts", lists[0].title, "the table says what it was")
	assert.Equal(t, sender, lists[0].world.Sender, "the world looks at senders")
}

func TestHostsAreKnown(t *testing.T) {
	for _, k := range kinds() {
		assert.NotEmpty(t, k.queue, "%s: where it keeps mail", k.name)
		for w, b := range k.most {
			assert.Positive(t, b.most, "%s %s: a bound is a number", k.name, w)
			assert.NotEmpty(t, b.why, "%s %s: and has a reason", k.name, w)
		}
		assert.Zero(t, k.warm[fed], "%s: what warms smtpfeed up would be remembered by it", k.name)
	}
}

func TestListsAreCutIntoWhatAHostTakes(t *testing.T) {
	list := make([]string, 250)
	bounds := map[way]bound{"": {most: 100}, tuned: {most: 30}}
	for name, c := range map[string]struct {
		h    hosted
		want int
	}{
		"any number":                          {hosted{way: fed}, 1},
		"a bound of all ways":                 {hosted{way: fed, kind: kind{most: bounds}}, 3},
		"a bound of one way":                  {hosted{way: tuned, kind: kind{most: bounds}}, 9},
		"fewer were asked for":                {hosted{way: fed, kind: kind{most: bounds}, most: 50}, 5},
		"more were asked for than the bound":  {hosted{way: fed, kind: kind{most: bounds}, most: 200}, 3},
		"as many were asked for as there are": {hosted{way: fed, most: 250}, 1},
	} {
		assert.Len(t, c.h.messages(list), c.want, name)
	}
}

func TestSubmissionsHaveContentsOfTheirOwn(t *testing.T) {
	assert.Equal(t, 1, shape{recipients: 9}.contents(), "one message has one")
	assert.Equal(t, 7, shape{recipients: 9, messages: 7}.contents(), "each further submission another, as its Received header differs")
	assert.Equal(t, 9, shape{recipients: 9, callers: 2}.contents(), "personal mail one for each recipient")
}

func TestTheWorldIsWhereHostsFindIt(t *testing.T) {
	any, only25 := []kind{{}}, []kind{{}, {port25: true}}
	assert.Zero(t, portFor(any, []way{shipped, fed}), "at any port for those who can be told")
	assert.Equal(t, 25, portFor(only25, []way{fed, tuned}), "at SMTP's for others")
	assert.Zero(t, portFor(only25, []way{fed}), "unless smtpfeed delivers, which can be told")
}

// hostRowOf is a row with one run for each time.
func hostRowOf(host string, w way, list int, walls ...float64) hostRow {
	h := hosted{kind: kind{key: host, name: host}, way: w, patience: 15 * time.Minute}
	r := hostRow{hosted: h, row: rowOf(count(float64(list)), h.name(), walls...)}
	r.shape.recipients = list
	for i, s := range walls {
		r.runs[i].Empty = s
	}
	return r
}

func TestHopelessListsAreLeftOut(t *testing.T) {
	long := hostRowOf("x", tuned, 100000)
	late, failed, left := hostRowOf("x", tuned, 10000), hostRowOf("x", tuned, 10000), hostRowOf("x", tuned, 10000)
	late.late, failed.failed, left.left = &unfinished{}, errors.New("lost some"), "5 took too long"
	for name, c := range map[string]struct {
		earlier hostRow
		want    string
	}{
		"a tenth took a tenth of the patience":     {hostRowOf("x", tuned, 10000, 89), ""},
		"a tenth took more":                        {hostRowOf("x", tuned, 10000, 91), "10,000 took 91.00 s"},
		"a tenth was not finished":                 {late, "10,000 could not be measured already"},
		"a tenth failed":                           {failed, "10,000 could not be measured already"},
		"a tenth was left out":                     {left, "10,000 could not be measured already"},
		"another host was slow":                    {hostRowOf("y", tuned, 10000, 500), ""},
		"the same host was slow in another way":    {hostRowOf("x", shipped, 10000, 500), ""},
		"a tenth took long in one round, not most": {hostRowOf("x", tuned, 10000, 80, 81, 500), ""},
	} {
		r := long
		r.hopeless([]hostRow{c.earlier})
		assert.Equal(t, c.want, r.left, name)
	}
}

func TestWhatTookLongIsNotRepeated(t *testing.T) {
	slow, quick := hostRowOf("x", tuned, 1, 2, 181), hostRowOf("x", tuned, 1, 2, 179)
	assert.True(t, slow.slow(), "more than three minutes is long")
	assert.False(t, quick.slow(), "less is not")
	for name, r := range map[string]hostRow{"long": slow, "left out": {left: "x"}, "late": {late: &unfinished{}}, "failed": {failed: errors.New("x")}} {
		n := len(r.runs)
		require.NoError(t, r.again(1, nil), "%s: nothing is done, for there is no world", name)
		assert.Len(t, r.runs, n, "%s: and nothing added", name)
	}
}

func TestSmtpfeedListensWhereTheHostConnects(t *testing.T) {
	j := &hostedJob{hosted: hosted{kind: kind{doors: 3}}}
	doors, err := j.doors()
	require.NoError(t, err)
	require.Len(t, doors, 3, "at as many addresses as patches/ tells the host")
	assert.Regexp(t, `^tcp:127\.0\.54\.1:\d+$`, doors[0], "on loopback")
	assert.Regexp(t, `^tcp:127\.0\.54\.3:\d+$`, doors[2], "one behind the other")
	d := &daemon{dir: "/d", socket: "/d/lmtp.sock", doors: doors[:1]}
	assert.Contains(t, d.config(shape{}, &world{}), "listen = [\"unix:/d/lmtp.sock\", \""+doors[0]+"\"]\n", "beside its own socket")
}
