package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// A way is how a host MTA delivers.
type way string

const (
	shipped way = "shipped"  // itself, as Debian ships it
	tuned   way = "tuned"    // itself, as quick as its own settings can
	fed     way = "smtpfeed" // through smtpfeed, as patches/ recommends
)

// A hosted is a host MTA that delivers in one of the ways.
type hosted struct {
	kind     kind
	way      way
	smtpfeed string        // the binary
	most     int           // recipients a message, if the host takes as many; 0 is as many as it takes
	patience time.Duration // how long a run may take
}

func (h hosted) name() string { return h.kind.name + ", " + string(h.way) }

func (hosted) remembers() bool { return false }

// messages cuts a list into as many submissions as the host needs.
func (h hosted) messages(list []string) [][]string {
	most := len(list)
	for _, n := range []int{h.most, h.limit().most} {
		if n > 0 {
			most = min(most, n)
		}
	}
	return slices.Collect(slices.Chunk(list, most))
}

// limit is what bounds a message.
func (h hosted) limit() bound {
	if l, ok := h.kind.most[h.way]; ok {
		return l
	}
	return h.kind.most[""]
}

// A hostedJob is a host that runs, and its smtpfeed when it has one.
type hostedJob struct {
	hosted
	*instance
	s      shape
	w      *world
	house  *household
	feed   *daemon       // nil: it delivers itself
	before time.Duration // of CPU that starting smtpfeed took
	over   bool          // it took too long: what it leaves behind is no fault
	run    string        // the directory of its socket for the host; "" when there is none
}

func (h hosted) begin(s shape, w *world) (job, error) {
	j := &hostedJob{hosted: h, s: s, w: w, house: &household{others: []int{w.cmd.Process.Pid}}}
	if err := j.start(); err != nil {
		return nil, errors.Join(err, j.end())
	}
	return j, nil
}

// start starts smtpfeed where it takes part, and the host. One that delivers itself is warmed up; one with smtpfeed is not, because smtpfeed
// would remember hosts from that.
func (j *hostedJob) start() error {
	setup, err := j.w.setup()
	if err != nil {
		return err
	}
	setup.Tuned = j.way == tuned
	if j.way == fed {
		if setup.Feed, err = j.startFeed(); err != nil {
			return err
		}
	}
	if j.instance, err = startInstance(j.hosted.kind, setup); err != nil {
		return err
	}
	if err := j.settle(); err != nil {
		return err
	}
	warm := j.hosted.kind.warm[j.way]
	if warm == 0 {
		return nil
	}
	if err := j.instance.warm(j.s, j.w, warm); err != nil {
		return err
	}
	return j.w.closed() // a session that was kept would be used again
}

// startFeed starts smtpfeed and says where it listens for the host.
func (j *hostedJob) startFeed() (door string, err error) {
	doors, err := j.doors()
	if err != nil {
		return "", err
	}
	if j.feed, err = startDaemon(feeder{program: j.smtpfeed, doors: doors}, j.s, j.w); err != nil {
		return "", err
	}
	j.house.others = append(j.house.others, j.feed.cmd.Process.Pid)
	j.before, err = cpu(j.feed.cmd.Process.Pid)
	return doors[0], err
}

// doors is where smtpfeed is to listen for the host: on addresses on which nobody listens, and no client of the simulated internet ever
// is; or on a socket in /run, as sendmail connects to none below a directory in which everybody may write.
func (j *hostedJob) doors() (all []string, err error) {
	if j.hosted.kind.doors == 0 {
		if j.run, err = os.MkdirTemp("/run", "smtpfeed-bench-"); err != nil {
			return nil, err
		}
		return []string{"unix:" + filepath.Join(j.run, "lmtp.sock")}, os.Chmod(j.run, 0o755)
	}
	l, err := net.Listen("tcp", "127.0.54.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	for i := range j.hosted.kind.doors {
		all = append(all, fmt.Sprintf("tcp:127.0.54.%d:%d", i+1, port))
	}
	return all, nil
}

// An unfinished run is one that took too long.
type unfinished struct {
	arrived int // recipients so far
	after   time.Duration
	intake  float64 // seconds; 0 is that not even that was done
}

func (u *unfinished) Error() string {
	return fmt.Sprintf("only %d recipients had arrived after %v", u.arrived, u.after)
}

// deliver submits the list, and measures until nothing is left in the queue.
func (j *hostedJob) deliver() (f figures, err error) {
	before, err := j.house.cpu()
	if err != nil {
		return f, err
	}
	j.house.watch()
	f.began = time.Now()
	taken, err := j.submit(&f)
	if err == nil {
		f.Empty, err = j.finish(f)
	}
	f.Memory = float64(j.house.watched())
	if err != nil {
		return f, err
	}
	after, err := j.house.cpu()
	if err != nil {
		return f, err
	}
	f.Taking, f.Giving = spent(before, taken), spent(taken, after)
	f.CPU = total(f.Taking) + total(f.Giving)
	return j.addFeed(f)
}

// submit brings the list to the host over as many connections as it has messages, one after the other, and says what the host had used by
// then. A message more on the same connection is delivered late by some hosts (Exim's smtp_accept_queue_per_connection).
func (j *hostedJob) submit(f *figures) (used map[int]procStat, err error) {
	messages := j.messages(internet.List(j.s.world, j.s.recipients))
	f.Messages = float64(len(messages))
	for _, to := range messages {
		m := hosts.Mail{From: sender, To: to, Content: string(letter()), Taken: func() { f.Intake = time.Since(f.began).Seconds() }}
		_, err := hosts.SubmitUntil(f.began.Add(j.patience), j.host.Addr(), m)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, j.late(figures{began: f.began})
		}
		if err != nil {
			return nil, j.failure(err)
		}
	}
	return j.house.cpu()
}

// lost is how often a queue is seen empty, every 20 ms, before those who are missing count as lost.
const lost = 500

// finish waits until the queue is empty, and says when that was. Only then the world is asked, whose time is not the host's, whether
// everybody has got it: a queue may be empty between two messages.
func (j *hostedJob) finish(f figures) (empty float64, err error) {
	for seen := 0; time.Since(f.began) < j.patience; time.Sleep(20 * time.Millisecond) {
		if j.holds() {
			continue
		}
		empty = time.Since(f.began).Seconds()
		p, err := j.w.progress()
		if err != nil || p.Recipients >= j.s.recipients {
			return empty, err
		}
		if seen++; seen == lost {
			return 0, j.failure(fmt.Errorf("%d of %d recipients arrived, and the queue is empty", p.Recipients, j.s.recipients))
		}
	}
	return 0, j.late(f)
}

// late is the error of a run that takes too long.
func (j *hostedJob) late(f figures) error {
	p, err := j.w.progress()
	if err != nil {
		return err
	}
	if p.Recipients >= j.s.recipients {
		return j.failure(errors.New("everybody has got it, and the queue is not empty"))
	}
	j.over = true
	return &unfinished{p.Recipients, time.Since(f.began).Round(time.Second), f.Intake}
}

// addFeed adds what smtpfeed has cost, and when it had got everything.
func (j *hostedJob) addFeed(f figures) (figures, error) {
	if j.feed == nil {
		return f, nil
	}
	own, err := figures{}.measure(j.feed.cmd.Process.Pid, j.before)
	if err != nil {
		return f, err
	}
	f.FeedCPU, f.FeedMemory = own.CPU, own.Memory
	f.CPU, f.Memory = f.CPU+own.CPU, f.Memory+own.Memory
	h, err := j.feed.handedOver(j.s.recipients)
	if err != nil {
		return f, j.failure(err)
	}
	f.Envelopes = float64(h.envelopes)
	f.Dot = max(f.Intake, h.last.Sub(f.began).Seconds())
	return f, nil
}

// end ends all that has been started, also if that was not all. Files go last: what a host has left behind still writes to its log.
func (j *hostedJob) end() (err error) {
	if j.instance != nil {
		err = j.host.Stop()
		defer os.RemoveAll(j.dir)
	}
	if j.feed != nil {
		err = errors.Join(err, j.feed.stop())
	}
	if j.run != "" {
		err = errors.Join(err, os.RemoveAll(j.run))
	}
	if left := j.house.bury(dying); !j.over {
		err = errors.Join(err, left)
	}
	return err
}
