package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	smtpfeed, internetd  string // paths of the binaries
	shapes, by           string // comma separated keys
	rounds               int
	small, write         bool
	readme, profile, out string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the program. An interrupt from the terminal reaches the world too, which ends: then what runs fails, and cleans up.
func run(args []string) error {
	mode := "table"
	if len(args) > 0 && (args[0] == "raw" || args[0] == "growth") {
		mode, args = args[0], args[1:]
	}
	if mode == "raw" {
		return rawMain(os.Stdin, os.Stdout)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT) // so that it does not end us; sent by the runtime, received by nobody
	o := parse(args)
	allowDescriptors()
	if mode == "growth" {
		return o.growth()
	}
	return o.table()
}

// table measures the shapes and prints the table.
func (o options) table() error {
	chosen, err := choose(o.shapes, o.small)
	if err != nil {
		return err
	}
	rows, err := o.measure(chosen)
	text := table(rows)
	fmt.Print(text)
	if o.write && err == nil {
		return writeReadme(o.readme, text)
	}
	return err
}

func parse(args []string) (o options) {
	var keys []string
	for _, s := range shapes() {
		keys = append(keys, s.key)
	}
	f := flag.NewFlagSet("bench", flag.ExitOnError)
	f.StringVar(&o.smtpfeed, "smtpfeed", "bin/smtpfeed", "the smtpfeed binary")
	f.StringVar(&o.internetd, "internetd", "bin/internetd", "the simulated internet's binary")
	f.StringVar(&o.shapes, "shapes", strings.Join(keys, ","), "what to deliver")
	f.StringVar(&o.by, "by", "raw,smtpfeed,postfix,tuned", "who delivers")
	f.IntVar(&o.rounds, "rounds", 3, "of each shape; the table has the medians")
	f.BoolVar(&o.small, "small", false, "a tenth of everything, for a quick look")
	f.BoolVar(&o.write, "write", false, "write the table into the README, between its marks")
	f.StringVar(&o.readme, "readme", "README.md", "the README")
	f.StringVar(&o.out, "out", "growth.svg", "growth: where the picture goes")
	f.StringVar(&o.profile, "profile", "", "an existing `directory` for CPU profiles of smtpfeed; they disturb what is measured")
	f.Parse(args) // ExitOnError: it returns no error
	return o
}

// allowDescriptors makes room for the worlds with 10,000 hosts and as many sessions; the processes that we start inherit it. What
// root only may do fails silently: the processes say themselves what they lack.
func allowDescriptors() {
	const wanted = 65536
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return
	}
	raised := syscall.Rlimit{Cur: max(l.Max, wanted), Max: max(l.Max, wanted)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) != nil {
		l.Cur = l.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
	}
}
