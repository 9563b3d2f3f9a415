package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/test/internet"
)

func TestPlanGivesEveryRecipientToOneConnection(t *testing.T) {
	for name, c := range map[string]struct {
		shape        shape
		connections  int
		transactions int
	}{
		"one transaction for each host": {shape{world: internet.Config{Domains: 20, Hosts: 4}, recipients: 100}, 4, 4},
		"101 recipients of one host are two transactions on two connections": {
			shape{world: internet.Config{Domains: 20, Hosts: 1}, recipients: 101}, 2, 2},
		"a host has ten connections at most": {shape{world: internet.Config{Domains: 20, Hosts: 1}, recipients: 2500}, 10, 25},
		"equal exchangers share": {
			shape{world: internet.Config{Domains: 1, Hosts: 1, Big: 1000, BigHosts: 4}, recipients: 4000}, 40, 40},
		"dead hosts are known": {
			shape{world: internet.Config{Domains: 10, Hosts: 12, DeadHosts: 10}, recipients: 10}, 2, 2},
		"messages of their own come one after the other": {
			shape{world: internet.Config{Domains: 20, Hosts: 4}, recipients: 100, callers: 4}, 4, 100},
		"recipients with a sender of their own share nothing": {
			shape{world: internet.Config{Domains: 20, Hosts: 4, Sender: verpSender}, recipients: 60, verp: true}, 40, 60},
	} {
		t.Run(name, func(t *testing.T) {
			p := makePlan(c.shape, "25")
			assert.Len(t, p.Connections, c.connections, "the connections")
			assert.Equal(t, c.transactions, p.transactions(), "the transactions")
			seen := map[string]int{}
			for _, connection := range p.Connections {
				for _, part := range connection.Transactions {
					assert.LessOrEqual(t, len(part.To), perTransaction, "no transaction is too large")
					assert.Equal(t, internet.Sender(c.shape.world.Sender, part.To[0]), part.From, "its sender is the world's")
					for _, a := range part.To {
						seen[a]++
					}
				}
			}
			assert.Len(t, seen, c.shape.recipients, "every recipient is there, once")
		})
	}
}

func TestDealIsEven(t *testing.T) {
	one, two, three := transaction{From: "1"}, transaction{From: "2"}, transaction{From: "3"}
	all := []transaction{one, two, three}
	assert.Equal(t, [][]transaction{{one, three}, {two}}, deal(all, 2), "hands differ by one at most")
	assert.Len(t, deal(all, 9), 3, "nobody has an empty hand")
}

// conversation runs the raw client's process in this one.
func conversation(t *testing.T, p plan) rawResult {
	t.Helper()
	return converse(t, p, "go\n")[0]
}

// converse lets it carry out its plan for each line of asked.
func converse(t *testing.T, p plan, asked string) (results []rawResult) {
	t.Helper()
	text, err := json.Marshal(p)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, rawMain("", io.MultiReader(bytes.NewReader(text), strings.NewReader("\n"+asked)), &out), "the raw client delivers")
	ready, told, _ := strings.Cut(out.String(), "\n")
	assert.Equal(t, "ready", ready, "it says when it is ready")
	for d := json.NewDecoder(strings.NewReader(told)); d.More(); {
		var r rawResult
		require.NoError(t, d.Decode(&r), "and what came of it")
		results = append(results, r)
	}
	return results
}

func TestRawClientDeliversExactlyOnce(t *testing.T) {
	for name, s := range map[string]shape{
		"a list":               {world: internet.Config{Domains: 50, Hosts: 5}, recipients: 2000},
		"a big domain":         {world: internet.Config{Domains: 50, Hosts: 5, Big: 500, BigHosts: 2}, recipients: 1000},
		"dead hosts":           {world: internet.Config{Domains: 10, Hosts: 12, DeadHosts: 10}, recipients: 50},
		"messages of its own":  {world: internet.Config{Domains: 5, Hosts: 5}, recipients: 50, callers: 5},
		"senders of their own": {world: internet.Config{Domains: 5, Hosts: 5, Sender: verpSender}, recipients: 100, verp: true},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := internet.Start(s.world)
			require.NoError(t, err)
			defer w.Close()
			r := conversation(t, makePlan(s, numeral(w.Port())))
			assert.NoError(t, exactlyOnce(s, w.Report(), w.Missing(s.recipients)), "the world is content")
			assert.Equal(t, s.personal(), r.Mean > 0, "a message's time is told where messages count")
		})
	}
}

func TestRawClientForgivesNothing(t *testing.T) {
	s := shape{world: internet.Config{Domains: 5, Hosts: 5, Refused: 500}, recipients: 50}
	w, err := internet.Start(s.world)
	require.NoError(t, err)
	defer w.Close()
	_, err = makePlan(s, numeral(w.Port())).carryOut()
	assert.ErrorContains(t, err, "550", "a refusal is an error, with the reply")
	w.Close()
	_, err = makePlan(s, numeral(w.Port())).carryOut()
	assert.Error(t, err, "so is a refused connection")
	assert.Error(t, rawMain("", strings.NewReader("{}"), io.Discard), "and half a plan")
	assert.Error(t, rawMain("", strings.NewReader("rubbish\n"), io.Discard), "or none")
}

func TestSpreadIsOneMessage(t *testing.T) {
	s := shape{world: far(internet.Config{Domains: 2, Hosts: 2}), recipients: 4, callers: 2}
	assert.Equal(t, 200*time.Millisecond, makePlan(s, "25").Spread, "two round trips and the processing")
	s.callers = 0
	assert.Zero(t, makePlan(s, "25").Spread, "a list goes at once")
}

func TestRawClientIsProfiled(t *testing.T) {
	file, err := profileFile(t.TempDir(), "a-raw-cpu")
	require.NoError(t, err)
	end, err := profileSelf(file)
	require.NoError(t, err)
	require.NoError(t, end())
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "\x1f\x8b", string(b[:2]), "a profile is compressed")
	end, err = profileSelf("")
	require.NoError(t, err)
	assert.NoError(t, end(), "none is asked for with no name")
	file, err = profileFile("", "a-raw-cpu")
	require.NoError(t, err)
	assert.Empty(t, file, "and no directory")
}

func TestCommandsOfATransaction(t *testing.T) {
	assert.Equal(t, "MAIL FROM:<s@x>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", string(transaction{From: "s@x", To: []string{"a@b", "c@d"}}.commands(nil)))
	next := transaction{From: "s@x", To: []string{"a@b"}, Params: xverp}.commands([]byte("the end\r\n.\r\n"))
	assert.Equal(t, "the end\r\n.\r\nMAIL FROM:<s@x> XVERP=+=\r\nRCPT TO:<a@b>\r\nDATA\r\n", string(next), "the next ones ride behind a body")
}
