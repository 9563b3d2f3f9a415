package tlsrpt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/smtpfeed/smtpfeed/feed/wire"
)

// A delivery is one domain's report on its way. One goroutine at a time has it.
type delivery struct {
	*edition
	domain  *domain
	record  record
	asked   bool // the record is known
	written bool // the file is in the directory
	done    bool // nothing is left to do
	err     error
}

// attempt does what is not done yet. What fails does not keep the rest from being tried.
func (d *delivery) attempt(ctx context.Context) {
	if d.err = d.ask(ctx); d.err != nil || d.done {
		return
	}
	report, err := d.c.render(d.day, d.domain)
	if err == nil {
		err = errors.Join(d.write(report), d.mail(ctx, report))
	}
	if d.err = err; err == nil {
		d.done = true
		d.finish(d.domain)
		return
	}
	d.c.Log.Debug("a TLS report failed", "domain", d.domain.name, "error", wire.Clean(err.Error(), maxTrouble))
}

// trouble is why it failed.
func (d *delivery) trouble() string {
	if d.err == nil {
		return "there was no time for it"
	}
	return d.err.Error()
}

// ask looks up whether the domain wants reports. If not, the delivery is done.
func (d *delivery) ask(ctx context.Context) error {
	if d.asked {
		return nil
	}
	texts, err := d.texts(ctx, recordName+d.domain.name)
	if err != nil {
		return err
	}
	var wanted bool
	if d.record, wanted = parseRecords(texts); !wanted {
		d.done = true
		d.finish(d.domain)
		d.note(func(s *Stats) { s.Unasked++ })
		return nil
	}
	d.asked = true
	d.note(func(s *Stats) { s.HTTPS += uint64(d.record.https) })
	return nil
}

func (d *delivery) texts(ctx context.Context, name string) ([]string, error) {
	if len(name) > maxDomain {
		return nil, nil // no such name can be
	}
	ctx, cancel := context.WithTimeout(ctx, textsTimeout)
	defer cancel()
	texts, err := d.c.Texts(ctx, name)
	if missing := (*net.DNSError)(nil); errors.As(err, &missing) && missing.IsNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", name, err)
	}
	return texts, nil
}

// write puts the report into the directory.
func (d *delivery) write(report []byte) error {
	if d.written {
		return nil
	}
	name := fileName(d.c.Hostname, d.domain.name, d.day.date, d.day.id)
	err := d.disk.write(name, reportMode, func(w io.Writer) error {
		_, err := w.Write(report)
		return err
	})
	if err != nil {
		return err
	}
	d.written = true
	d.note(func(s *Stats) { s.Written++ })
	return nil
}

// mail sends the report to the addresses that do not have it yet.
func (d *delivery) mail(ctx context.Context, report []byte) (err error) {
	if d.c.Mail == nil {
		return nil
	}
	for _, to := range d.record.mailto {
		if slices.Contains(d.domain.mailed, to) {
			continue
		}
		if e := d.mailTo(ctx, to, report); e != nil {
			err = errors.Join(err, fmt.Errorf("mail to %s: %w", to, e))
			continue
		}
		d.sent(d.domain, to)
		d.note(func(s *Stats) { s.Mailed++ })
	}
	return err
}

func (d *delivery) mailTo(ctx context.Context, to string, report []byte) error {
	message, err := letter{
		from: d.c.From, to: to, hostname: d.c.Hostname, domain: d.domain.name, id: d.c.reportID(d.day, d.domain),
		attachment: attachmentName(d.c.Hostname, d.domain.name, d.day.date, d.day.id) + reportSuffix + ".gz",
		day:        d.day.date, now: time.Now(), report: report,
	}.message()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	return d.c.Mail(ctx, Mail{To: to, Domain: d.domain.name, Message: message})
}
