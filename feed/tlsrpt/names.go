package tlsrpt

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	maxDomain    = 253
	maxLabel     = 63
	maxFileName  = 255 // octets that Linux takes
	reportSuffix = ".json"
)

// isDomain is whether s is a domain name in the form that resolver.Fold gives: letters in lower case, digits, hyphens and
// underscores, in labels. What it lets through has no slash, and is neither "." nor "..".
func isDomain(s string) bool {
	if s == "" || len(s) > maxDomain {
		return false
	}
	label := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
			if label++; label > maxLabel {
				return false
			}
		case c == '.' && label > 0:
			label = 0
		default:
			return false
		}
	}
	return label > 0
}

// attachmentName is a report's name of RFC 8460 section 5.1, without the extension.
func attachmentName(sender, domain string, day date, id string) string {
	return sender + "!" + domain + span(day, id)
}

// fileName is the name in the directory.
func fileName(sender, domain string, day date, id string) string {
	name := attachmentName(sender, domain, day, id) + reportSuffix
	if len(name) <= maxFileName {
		return name
	}
	digest := sha256.Sum256([]byte(sender + "!" + domain))
	return fmt.Sprintf("%x!%x%s%s", digest[:16], digest[16:], span(day, id), reportSuffix)
}

func span(day date, id string) string {
	return fmt.Sprintf("!%d!%d!%s", day.begin().Unix(), day.last().Unix(), id)
}

// reportNames matches names that fileName makes: only such files are ever removed.
func reportNames() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9._-]+![a-z0-9._-]+!([0-9]{1,12})!([0-9]{1,12})![0-9a-f]{12}\.json$`)
}

// endOf is when the range of a report's file ends, and whether name is that of a report. The file's own time says when it was
// copied.
func endOf(names *regexp.Regexp, name string) (time.Time, bool) {
	m := names.FindStringSubmatch(name)
	if m == nil {
		return time.Time{}, false
	}
	end, err := strconv.ParseInt(m[2], 10, 64)
	return time.Unix(end, 0), err == nil
}

// A date is a day in UTC, as days since 1970.
type date int64

const daySeconds = 24 * 60 * 60

// dateOf is the day of a time. It rounds down, also before 1970.
func dateOf(t time.Time) date {
	s := t.Unix()
	d := s / daySeconds
	if s%daySeconds < 0 {
		d--
	}
	return date(d)
}

func (d date) begin() time.Time { return time.Unix(int64(d)*daySeconds, 0).UTC() }

func (d date) end() time.Time { return (d + 1).begin() }

// last is the last second: RFC 8460 appendix B ends a day with it.
func (d date) last() time.Time { return d.end().Add(-time.Second) }

func (d date) String() string { return d.begin().Format(time.DateOnly) }

func parseDate(s string) (date, error) {
	t, err := time.Parse(time.DateOnly, strings.TrimSpace(s))
	return dateOf(t), err
}
