package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/smtpfeed/smtpfeed/test/hosts"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// hostOptions are the flags of `bench hosts`.
type hostOptions struct {
	options
	hosts, lists, ways string // comma separated
	most               int
	patience           time.Duration
}

func parseHosts(args []string) (o hostOptions) {
	var keys []string
	for _, k := range kinds() {
		keys = append(keys, k.key)
	}
	f := flag.NewFlagSet("bench hosts", flag.ExitOnError)
	o.common(f)
	f.StringVar(&o.hosts, "hosts", strings.Join(keys, ","), "which host MTAs")
	f.StringVar(&o.lists, "lists", "10000,100000", "how many recipients, each a list")
	f.StringVar(&o.ways, "ways", "shipped,tuned,smtpfeed", "how the hosts deliver")
	f.IntVar(&o.most, "most", 0, "submit messages with at most so many `recipients`; 0: as many as the host takes")
	f.DurationVar(&o.patience, "patience", patience, "a run that takes longer is ended, and its row says how far it came")
	f.Parse(args) // ExitOnError: it returns no error
	return o
}

// hostsMain is `bench hosts`: the table of lists through host MTAs.
func hostsMain(args []string) error {
	o := parseHosts(args)
	chosen, err := chooseKinds(o.hosts)
	if err != nil {
		return err
	}
	ways, err := chooseWays(o.ways)
	if err != nil {
		return err
	}
	lists, err := chooseLists(o.lists, o.small)
	if err != nil {
		return err
	}
	if err := adopt(); err != nil {
		return err
	}
	present, versions := available(chosen)
	rows, err := o.measureHosts(lists, present, ways)
	if len(rows) == 0 {
		return err
	}
	text := hostTable(rows, versions)
	fmt.Print(text)
	if err = errors.Join(err, failures(rows)); !o.write || err != nil {
		return err
	}
	if len(present) < len(chosen) || o.small {
		return errors.New("somebody could not take part, or all of it is a tenth: the README keeps its table")
	}
	return writeReadme(o.readme, hostsMark, text)
}

func chooseWays(keys string) (chosen []way, err error) {
	for key := range strings.SplitSeq(keys, ",") {
		if w := way(key); !slices.Contains([]way{shipped, tuned, fed}, w) {
			return nil, fmt.Errorf("no host delivers %q", key)
		}
		chosen = append(chosen, way(key))
	}
	return chosen, nil
}

// chooseLists makes a shape for each list. They differ in their number of recipients only, so that two of them say how a host's work
// grows with that; shape c of the other table, with a big domain, would change two things at once.
func chooseLists(counts string, small bool) (lists []shape, err error) {
	for text := range strings.SplitSeq(counts, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("no list has %q recipients", text)
		}
		s := shape{recipients: n, world: far(internet.Config{Domains: 10000, Hosts: 200})}.withSenders()
		if small {
			s = s.tenth()
		}
		s.key = count(float64(s.recipients))
		s.title = fmt.Sprintf("%s recipients, %s domains on %d hosts", s.key, count(float64(s.world.Domains)), s.world.Hosts)
		lists = append(lists, s)
	}
	slices.SortFunc(lists, func(a, b shape) int { return a.recipients - b.recipients })
	return lists, nil
}

// available are the hosts that can run here, and what they call themselves. The others are told of.
func available(chosen []kind) (present []kind, versions []string) {
	for _, k := range chosen {
		version, err := k.probe()
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: without %s: %v\n", k.name, err)
			continue
		}
		present, versions = append(present, k), append(versions, version)
	}
	return present, versions
}

// probe makes an instance, to see whether that is possible.
func (k kind) probe() (version string, err error) {
	if os.Geteuid() != 0 {
		return "", errors.New("host MTAs, and a private resolv.conf, need root")
	}
	dir, err := sharedDir("bench-host-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	h, err := k.make(hosts.Setup{Dir: dir, World: hosts.World{DNS: "127.0.0.1", Port: "25"}})
	if err != nil {
		return "", err
	}
	return h.Name(), nil
}

// measureHosts does all lists. Hosts and their ways take turns in every round. With an error it returns the lists that were finished.
func (o hostOptions) measureHosts(lists []shape, chosen []kind, ways []way) (rows []hostRow, err error) {
	for _, s := range lists {
		part, err := o.hostSitting(s, chosen, ways, rows)
		if err != nil {
			return rows, err
		}
		rows = append(rows, part...)
	}
	return rows, nil
}

// hostSitting does one list, in one world. earlier are the shorter lists' rows.
func (o hostOptions) hostSitting(s shape, chosen []kind, ways []way, earlier []hostRow) ([]hostRow, error) {
	fmt.Fprintf(os.Stderr, "%s\n", s.title)
	s.world.Port = portFor(chosen, ways)
	w, err := startWorld(o.internetd, dnsForHosts, s.world)
	if err != nil {
		return nil, fmt.Errorf("%w (its DNS server is at %s, its hosts' port %d, or any where that is 0)", err, dnsForHosts, s.world.Port)
	}
	defer w.stop()
	var rows []hostRow
	for _, k := range chosen {
		for _, by := range ways {
			h := hosted{kind: k, way: by, smtpfeed: o.smtpfeed, most: o.most, patience: o.patience}
			r := hostRow{row: row{shape: s, candidate: h.name()}, hosted: h}
			r.hopeless(earlier)
			rows = append(rows, r)
		}
	}
	for round := range o.rounds {
		for i := range rows {
			if err := rows[i].again(round, w); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

// portFor is the world's port: 25 where a host knows no other, any otherwise (0).
func portFor(chosen []kind, ways []way) int {
	onlyFed := !slices.ContainsFunc(ways, func(w way) bool { return w != fed })
	if !onlyFed && slices.ContainsFunc(chosen, func(k kind) bool { return k.port25 }) {
		return 25
	}
	return 0
}

// long is a run that is not repeated.
const long = 3 * time.Minute

// again does a row's work once more, unless that takes too long or has failed. One host's failure is kept for the end; what is returned is
// the world's.
func (r *hostRow) again(round int, w *world) error {
	if r.left != "" || r.late != nil || r.failed != nil || round > 0 && r.slow() {
		return nil
	}
	s := r.shape
	s.messages = len(r.messages(internet.List(s.world, s.recipients)))
	runs, err := once(r.hosted, s, w)
	if err != nil {
		if !errors.As(err, &r.late) {
			r.failed = err
		}
		fmt.Fprintf(os.Stderr, "  %-21s %v\n", r.candidate, err)
		return w.closed()
	}
	f := runs[0].figures
	r.runs = append(r.runs, f)
	fmt.Fprintf(os.Stderr, "  %-21s intake %6.2f s, handed over %6.2f s, last %6.2f s, queue empty %6.2f s, CPU %6.2f s, the world's %5.2f s\n",
		r.candidate, f.Intake, f.Dot, f.Wall, f.Empty, f.CPU, f.World)
	return nil
}

func (r *hostRow) slow() bool {
	return slices.ContainsFunc(r.runs, func(f figures) bool { return f.Empty > long.Seconds() })
}

// hopeless leaves a list out when a shorter one tells that it would take too long.
func (r *hostRow) hopeless(earlier []hostRow) {
	for _, e := range earlier {
		if e.candidate != r.candidate {
			continue
		}
		times := float64(r.shape.recipients) / float64(e.shape.recipients)
		switch {
		case e.late != nil || e.left != "" || e.failed != nil:
			r.left = e.shape.key + " could not be measured already"
		case times*e.wall() > r.patience.Seconds():
			r.left = fmt.Sprintf("%s took %s", e.shape.key, seconds(e.wall()))
		}
	}
}
