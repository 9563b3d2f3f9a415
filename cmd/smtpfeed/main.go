// Smtpfeed delivers mail for a host MTA, which hands it over by LMTP: one message with any number of recipients. It resolves
// all domains at once, groups recipients by mail exchanger, delivers over parallel pipelined SMTP sessions and answers each
// recipient. The host keeps queue, retries and bounces.
//
// This package is the program around it: configuration, sockets, signals, delivery records, status and metrics. It decides
// nothing about mail. Exit codes are those of sysexits(3).
//
// Goroutines: the feeder's loop (delivery.go, ended by drain or stop); one for each listener, one for the admin server and the
// watchdog (serve.go, which waits for them); one while draining (serve.go); one for each delivery record file (recordspen.go, ended with it)
// and one for the log (logwriter.go, as long as the process); one that waits for a ledger which could not be opened (delivery.go); in stdio one for the conversation and, with --via, one that
// copies what the host MTA says (stdio.go; both end with the process).
package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/alecthomas/kong"
)

// Exit codes of sysexits(3).
const (
	exitUsage       = 64
	exitUnavailable = 69 // somebody else has the socket, or the daemon does not run
	exitSoftware    = 70
	exitSystem      = 71
	exitCantCreate  = 73
	exitTemporary   = 75
	exitPermission  = 77
	exitConfig      = 78
)

// A failure is an error with the exit code it ends the program with.
type failure struct {
	code int
	err  error
}

// Error is the error's text.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap is the error itself.
func (f *failure) Unwrap() error { return f.err }

// streams are the program's standard files, passed so that tests can give their own.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// configFlag is -c, which every command that reads the configuration has.
type configFlag struct {
	Config string `short:"c" placeholder:"FILE" help:"Configuration file; without it ${file}, which may be absent."`
}

// commandLine is what kong reads.
type commandLine struct {
	Serve   serveCommand   `cmd:"" help:"Take mail over LMTP and deliver it."`
	Stdio   stdioCommand   `cmd:"" help:"Speak LMTP on standard input and output, for a host MTA that runs us as a program."`
	Explain explainCommand `cmd:"" help:"Tell how mail to these addresses would be delivered, and send none."`
	Check   checkCommand   `cmd:"" help:"Print the effective configuration and report what is wrong with it or with the machine."`
	Status  statusCommand  `cmd:"" help:"Tell what the running daemon is doing."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

func main() {
	tuneRuntime()
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// run is the program: it returns its exit code.
func run(args []string, s streams) int {
	if len(args) > 0 && args[0] == "stdio" {
		s.err = awayFromReplies(s.err)
	}
	var line commandLine
	parser, err := kong.New(&line,
		kong.Name("smtpfeed"),
		kong.Description("LMTP to SMTP for lists: every recipient at once, grouped by mail exchanger."),
		kong.Vars{"file": defaultFile},
		kong.Writers(s.out, s.err),
		kong.Bind(s),
	)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(s.err, "smtpfeed: %v; smtpfeed --help shows how\n", err)
		if len(args) > 0 && args[0] == "stdio" {
			return deferMail(s, err).code
		}
		return exitUsage
	}
	if err := command.Run(); err != nil {
		return report(s.err, err)
	}
	return 0
}

// report tells an error and returns its exit code.
func report(w io.Writer, err error) int {
	prefix := "smtpfeed: "
	var problems Problems
	if errors.As(err, &problems) {
		prefix = "" // lines that begin with the file's name, for editors to jump to
	}
	fmt.Fprintf(w, "%s%v\n", prefix, err)
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return exitSoftware
}

// newLogger writes to standard error what level lets through. In systemd's journal each line has a time already.
func newLogger(w io.Writer, level *slog.LevelVar) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if os.Getenv("JOURNAL_STREAM") != "" {
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(newLogWriter(w), options))
}
