package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
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
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// command is the program.
func command(args []string) error {
	mode := "table"
	if len(args) > 0 && slices.Contains([]string{"raw", "growth", "hosts", "tls"}, args[0]) {
		mode, args = args[0], args[1:]
	}
	if mode == "raw" {
		return rawMain(strings.Join(args, ""), os.Stdin, os.Stdout)
	}
	cleanUp()
	switch mode {
	case "hosts":
		allowDescriptors()
		return hostsMain(args)
	case "tls":
		allowDescriptors()
		return tlsMain(args)
	}
	everybody := "raw,smtpfeed,postfix,tuned"
	if mode == "growth" {
		everybody = "raw,smtpfeed" // on a scale that shows their growth, Postfix would not be on the picture
	}
	o := parse(everybody, args)
	allowDescriptors()
	if mode == "growth" {
		return o.growth()
	}
	return o.table()
}

// cleanUp keeps signals from ending us before what runs has been ended. An interrupt from the terminal reaches the world too, which ends;
// SIGTERM is passed on to all that runs below us. Then what is being done fails, and cleans up.
func cleanUp() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT) // sent by the runtime, received by nobody
	terminated := make(chan os.Signal, 1)                  // from the runtime; the first one counts
	signal.Notify(terminated, syscall.SIGTERM)
	go func() {
		<-terminated
		below, err := tree(os.Getpid())
		if err != nil {
			os.Exit(1)
		}
		delete(below, os.Getpid())
		for pid := range below {
			syscall.Kill(pid, syscall.SIGTERM)
		}
	}()
}

// table measures the shapes, prints the table and says what it means for the goals.
func (o options) table() error {
	chosen, err := choose(o.shapes, o.small)
	if err != nil {
		return err
	}
	rows, err := o.measure(chosen)
	if len(rows) == 0 {
		return err
	}
	text := table(rows)
	fmt.Print(text)
	if !o.small {
		fmt.Print("\n", verdicts(rows))
	}
	if !o.write || err != nil {
		return err
	}
	if everybody, err := o.candidates(); err != nil || len(everybody) < len(strings.Split(o.by, ",")) {
		return errors.Join(err, errors.New("somebody could not take part: the README keeps its table"))
	}
	return writeReadme(o.readme, tableMark, text+growthPicture(growthFile))
}

// parse reads the flags; everybody is who delivers by default.
func parse(everybody string, args []string) (o options) {
	var keys []string
	for _, s := range shapes() {
		keys = append(keys, s.key)
	}
	f := flag.NewFlagSet("bench", flag.ExitOnError)
	o.common(f)
	f.StringVar(&o.shapes, "shapes", strings.Join(keys, ","), "what to deliver")
	f.StringVar(&o.by, "by", everybody, "who delivers: raw, smtpfeed, off (smtpfeed without its ledger), power (with one that survives power cuts), postfix, tuned")
	f.StringVar(&o.out, "out", growthFile, "growth: where the picture goes")
	f.StringVar(&o.profile, "profile", "", "an existing `directory` for profiles of smtpfeed and the raw client; they disturb what is measured")
	f.Parse(args) // ExitOnError: it returns no error
	return o
}

// common are the flags of all modes.
func (o *options) common(f *flag.FlagSet) {
	f.StringVar(&o.smtpfeed, "smtpfeed", "bin/smtpfeed", "the smtpfeed binary")
	f.StringVar(&o.internetd, "internetd", "bin/internetd", "the simulated internet's binary")
	f.IntVar(&o.rounds, "rounds", 3, "of everything; the table has the medians")
	f.BoolVar(&o.small, "small", false, "a tenth of everything, for a quick look")
	f.BoolVar(&o.write, "write", false, "write the table into the README, between its marks")
	f.StringVar(&o.readme, "readme", "README.md", "the README")
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
