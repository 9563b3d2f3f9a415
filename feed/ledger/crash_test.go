package ledger

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/feed"
)

// The environment of a child: what it shall do, with which file, from which message on.
const (
	childRole = "LEDGER_TEST_ROLE"
	childPath = "LEDGER_TEST_PATH"
	childFrom = "LEDGER_TEST_FROM"
)

// TestMain is a child's main, too.
func TestMain(m *testing.M) {
	from, _ := strconv.Atoi(os.Getenv(childFrom))
	switch os.Getenv(childRole) {
	case "":
		os.Exit(m.Run())
	case "busy":
		beBusy(os.Getenv(childPath), from)
	case "process":
		beSlow(os.Getenv(childPath), Process)
	case "power":
		beSlow(os.Getenv(childPath), Power)
	}
}

// beBusy keeps and forgets until it is killed, and says what it ordered (F) and what was done (d, f), one write each.
func beBusy(path string, from int) {
	l := Open(Config{Path: path})
	fmt.Println("found")
	room := make(chan struct{}, 30)
	for n := from; ; n++ {
		room <- struct{}{}
		l.Keep(feed.Entry{Delivered: []feed.Delivery{delivery(n, 1+n%40)}}, func() { fmt.Println("d", n); <-room })
		if old := n - 20; n%3 == 0 && old >= from {
			fmt.Println("F", old)
			l.Keep(feed.Entry{Forgotten: []feed.MessageID{message(old)}}, func() { fmt.Println("f", old) })
		}
	}
}

// beSlow keeps one after the other, and says when each is done.
func beSlow(path string, sync Sync) {
	l := Open(Config{Path: path, Sync: sync})
	for n := range 20 {
		done := make(chan struct{})
		l.Keep(feed.Entry{Delivered: []feed.Delivery{delivery(n, 50)}}, func() { close(done) })
		<-done
		os.Stdout.WriteString("done\n")
	}
	_ = l.Close(context.Background())
}

func child(role, path string, from int, wrapper ...string) *exec.Cmd {
	args := append(wrapper, os.Args[0])
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path, childFrom+"="+strconv.Itoa(from))
	cmd.Stderr = os.Stderr
	return cmd
}

// said is what children said of each message.
type said struct {
	kept, ordered, forgotten map[int]bool
	highest                  int
}

// run lets a child work until it said so many lines, kills it, and hears it out.
func (s *said) run(t *testing.T, path string, lines int) {
	t.Helper()
	cmd := child("busy", path, s.highest+1)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err, "the child has a pipe")
	require.NoError(t, cmd.Start(), "the child starts")
	in := bufio.NewScanner(out)
	for i := 0; in.Scan(); i++ {
		if i == lines {
			require.NoError(t, cmd.Process.Kill(), "the child is killed")
		}
		verb, number, _ := strings.Cut(in.Text(), " ")
		n, _ := strconv.Atoi(number)
		s.highest = max(s.highest, n)
		switch verb {
		case "d":
			s.kept[n] = true
		case "F":
			s.ordered[n] = true
		case "f":
			s.forgotten[n] = true
		}
	}
	require.Error(t, cmd.Wait(), "the child did not end by itself")
	s.highest += 100 // what it ordered without a word is not ordered again
}

func TestKilledProcessLosesNothingThatWasDone(t *testing.T) {
	path := somewhere(t)
	s := said{map[int]bool{}, map[int]bool{}, map[int]bool{}, 0}
	for round := range 8 {
		s.run(t, path, rand.IntN(4000))
		found := map[feed.MessageID]bool{}
		w := open(t, Config{Path: path})
		w.shut()
		assert.Zero(t, w.Stats().SetAside, "round %d: the file is whole: %s", round, w.logged())
		for _, m := range messages(w.founds()...) {
			found[m] = true
		}
		for n := range s.kept {
			if !s.ordered[n] && !found[message(n)] {
				t.Errorf("round %d: message %d was done, was never to be forgotten, and is not found", round, n)
			}
		}
		for n := range s.forgotten {
			if found[message(n)] {
				t.Errorf("round %d: message %d was forgotten, which was done, and is found", round, n)
			}
		}
	}
	t.Logf("%d kept, %d of them to be forgotten, %d were", len(s.kept), len(s.ordered), len(s.forgotten))
	assert.NotEmpty(t, s.forgotten, "the children came to forget something")
}

// A copy made while the file is written mixes pages of several commits, as the loss of power does in Process mode.
func TestTornFileIsSurvived(t *testing.T) {
	path := somewhere(t)
	w := open(t, Config{Path: path})
	stop, ended := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				ended <- n
				return
			default:
			}
			done := make(chan struct{})
			e := feed.Entry{Delivered: []feed.Delivery{delivery(n, 1+n%30)}}
			if n > 300 {
				e.Forgotten = []feed.MessageID{message(n - 300)}
			}
			w.Keep(e, func() { close(done) })
			<-done
		}
	}()
	var copies []string
	for i := range 40 {
		w.until(func(s Stats) bool { return s.Commits > i*20 })
		torn, err := os.ReadFile(path)
		require.NoError(t, err, "the file can be read")
		copies = append(copies, filepath.Join(t.TempDir(), "torn.db"))
		require.NoError(t, os.WriteFile(copies[i], torn, fileMode), "it is copied")
	}
	close(stop)
	most := <-ended
	for i, c := range copies {
		lives(t, c, most, fmt.Sprintf("copy %d", i))
	}
}

// traced are the system calls of a child before each of the 20 times that it says done.
func traced(t *testing.T, role string) (rounds [][]string) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: strace is not installed, so that fdatasync comes before done is NOT tested")
	}
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := child(role, somewhere(t), 0, strace, "-f", "-qq", "-e", "trace=write,pwrite64,fdatasync", "-o", trace)
	if out, err := cmd.Output(); err != nil {
		t.Skipf("SKIPPED: strace cannot trace here (%v), so that fdatasync comes before done is NOT tested: %s", err, out)
	}
	b, err := os.ReadFile(trace)
	require.NoError(t, err, "the trace can be read")
	var round []string
	for _, line := range strings.Split(string(b), "\n") {
		switch {
		case strings.Contains(line, `write(1, "done\n"`):
			rounds, round = append(rounds, round), nil
		case strings.Contains(line, "pwrite64(") && !strings.Contains(line, "resumed"):
			round = append(round, "write")
		case strings.Contains(line, "fdatasync") && strings.HasSuffix(strings.TrimSpace(line), "= 0"): // it ended, well
			round = append(round, "sync")
		}
	}
	require.Len(t, rounds, 20, "the child said done for each")
	return rounds
}

func TestPowerModeSyncsBeforeDone(t *testing.T) {
	for i, round := range traced(t, "power") {
		calls := strings.Join(round, " ")
		inOrder := strings.HasSuffix(calls, "write sync write sync")
		assert.True(t, inOrder, "round %d: pages, fdatasync, meta, fdatasync, and then done: %s", i, calls)
	}
}

func TestProcessModeDoesNotSync(t *testing.T) {
	for i, round := range traced(t, "process")[1:] {
		assert.Contains(t, round, "write", "round %d: the file is written before done", i)
		assert.NotContains(t, round, "sync", "round %d: nothing waits for the disk", i)
	}
}
