package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

func TestPairsAreEachBesideItself(t *testing.T) {
	o := tlsOptions{options: options{by: "raw,dane,classical,sts"}}
	all, err := o.pairs()
	require.NoError(t, err)
	assert.Equal(t, []string{
		"raw client: plaintext", "raw client: TLS", "smtpfeed: TLS", "smtpfeed: TLS, DANE", "smtpfeed: plaintext", "smtpfeed: TLS without ML-KEM",
		"smtpfeed: TLS, MTA-STS",
	}, names(all), "what several are compared with is there once")
	for _, c := range all {
		assert.True(t, c.remembers(), "%s has a second list", c.name())
	}
	o.by = "smtpfeed,nobody"
	_, err = o.pairs()
	assert.ErrorContains(t, err, `"nobody"`, "who is not known is an error")
}

func TestEverybodyTakesPartWhereHandshakesAreMany(t *testing.T) {
	all := []candidate{raw{guard: encrypted}, postfix{tuned: true, guard: encrypted}, feeder{guard: classical}}
	o := tlsOptions{options: options{by: "raw,tuned"}, allAt: "b,d"}
	assert.Len(t, o.takingPart(shape{key: "b"}, all), 3, "at b all do")
	assert.Equal(t, all[:1], o.takingPart(shape{key: "a"}, all), "and not at a")
	assert.True(t, shape{}.onlyOnce(all[1]), "Postfix in the first round")
	assert.False(t, shape{}.onlyOnce(all[0]), "the others in each")
	assert.False(t, o.lacks(all), "the table is complete with Postfix")
	assert.True(t, o.lacks(all[:1]), "and is not where it cannot run")
}

func TestSecuredShapesHaveTLSAtEveryHost(t *testing.T) {
	all, err := choose("b,d", false)
	require.NoError(t, err)
	b, d := all[0].secured(internet.RSA), all[1].secured(internet.ECDSA)
	assert.Equal(t, internet.RSA, b.world.TLS, "with certificates as asked for")
	assert.True(t, b.world.AD && b.world.TLSA, "and what DANE needs, which nobody else looks at")
	assert.True(t, b.again && b.parted, "a list comes twice, over sessions of its own")
	assert.Contains(t, (&daemon{}).config(b, &world{}), "idle_timeout = \"1s\"\n", "which smtpfeed does not keep for long")
	assert.False(t, d.again || d.parted, "personal mail comes once")
	assert.NotContains(t, (&daemon{}).config(d, &world{}), "idle_timeout", "and smtpfeed has its defaults")
}

func TestRawClientSpeaksTLSAndResumes(t *testing.T) {
	s := shape{world: internet.Config{Domains: 20, Hosts: 4}, recipients: 40}.secured(internet.ECDSA)
	w, err := internet.Start(s.world)
	require.NoError(t, err)
	defer w.Close()
	p := makePlan(s, numeral(w.Port()))
	p.TLS = true
	p.secrets = p.tlsConfig()
	for list, resumed := range []int{0, 4} {
		w.Reset()
		_, err := p.carryOut()
		require.NoError(t, err, "the raw client delivers")
		r := w.Report()
		assert.NoError(t, exactlyOnce(s, r, w.Missing(s.recipients)), "the world is content")
		got := []int{r.Handshakes, r.Resumed, r.Channels[internet.Plaintext]}
		assert.Equal(t, []int{4, resumed, 0}, got, "list %d: handshakes, those resumed, transactions in plaintext", list)
	}
}

func TestRawClientIsAskedAgain(t *testing.T) {
	s := shape{world: internet.Config{Domains: 5, Hosts: 5}, recipients: 5}
	w, err := internet.Start(s.world)
	require.NoError(t, err)
	defer w.Close()
	out := converse(t, makePlan(s, numeral(w.Port())), "go\ngo\n")
	assert.Len(t, out, 2, "it does as planned each time")
	assert.Equal(t, 10, w.Report().Recipients, "and delivers each time")
}

func TestBetweenTwoListsWorkIsGivenAgain(t *testing.T) {
	j := &reloaded{}
	require.NoError(t, between(shape{}, nil, j), "whoever must be given it is")
	assert.Equal(t, 1, j.times, "once")
	assert.NoError(t, between(shape{}, nil, kept{}), "and nobody else")
}

// A kept job still has its work after a list; a reloaded one has not.
type kept struct{}

func (kept) deliver() (figures, error) { return figures{}, nil }
func (kept) end() error                { return nil }

type reloaded struct {
	kept
	times int
}

func (r *reloaded) reload() error { r.times++; return nil }
