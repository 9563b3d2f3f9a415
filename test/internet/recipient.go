package internet

import (
	"strconv"
	"strings"
)

// A Fate is what the world does to a recipient; its local part begins with the fate's word.
type Fate string

const (
	User     Fate = "user"     // delivered; so is every local part that begins with no other word
	Refuse   Fate = "refuse"   // 550 5.1.1 at RCPT
	Grey     Fate = "grey"     // 450 4.2.0 at the first RCPT since the start or the last reset, then delivered
	Full     Fate = "full"     // 452 4.2.2 at RCPT
	TempFail Fate = "tempfail" // 451 4.3.0 at RCPT
)

// FateOf reads the fate from an address or a local part.
func FateOf(address string) Fate {
	for _, f := range [...]Fate{Refuse, Grey, Full, TempFail} {
		if strings.HasPrefix(address, string(f)) {
			return f
		}
	}
	return User
}

// spread is a prime above any number of domains: multiplying by it visits every domain once, in no simple order.
const spread = 2654435761

// Recipient is the address of recipient i. Consecutive recipients are at different domains, all domains but the big one are used equally, and
// c.Refused, c.Grey, c.Full and c.TempFail of every 1000 have that fate.
func Recipient(i int, c Config) string {
	return string(fate(i, &c)) + strconv.Itoa(i) + "@" + Domain(c.domainOf(i))
}

// domainOf is the domain of recipient i. Of i recipients i*Big/1000 are at the big domain; the others are counted on their own, so
// that they see every other domain.
func (c *Config) domainOf(i int) int {
	big := i * c.Big / 1000
	if (i+1)*c.Big/1000 > big {
		return c.Domains
	}
	return int((uint64(i-big)*spread + c.Seed) % uint64(max(1, c.Domains)))
}

// List is the first n recipients.
func List(c Config, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = Recipient(i, c)
	}
	return list
}

// fate deals the fates out evenly: 7 and 1000 have no common divisor, so 1000 consecutive recipients see every remainder.
func fate(i int, c *Config) Fate {
	r := i * 7 % 1000
	for _, f := range [...]struct {
		of   Fate
		many int
	}{{Refuse, c.Refused}, {Grey, c.Grey}, {Full, c.Full}, {TempFail, c.TempFail}} {
		if r < f.many {
			return f.of
		}
		r -= f.many
	}
	return User
}

// numberOf is i when local is the local part of Recipient(i, c).
func (c *Config) numberOf(local string) (i int, ok bool) {
	digits := strings.TrimLeft(local, "abcdefghijklmnopqrstuvwxyz")
	i, rest, ok := number(digits)
	return i, ok && rest == "" && Fate(local[:len(local)-len(digits)]) == fate(i, c)
}
