package main

import (
	"fmt"
	"math/rand/v2"
)

// A mode is a way in which sendmail takes a message. They differ in how the send list is sorted, and in when aliases are expanded.
type mode struct {
	name    string
	program bool     // sendmail -t instead of SMTP
	args    []string // of the submission
	run     []string // of a queue run after it; nil: none
}

var modes = []mode{
	{name: "queued", args: []string{"-odq"}, run: []string{"-qf"}},                                                   // sorthost
	{name: "delivered at once", args: []string{"-odi"}},                                                              // sorthost, sender deletion
	{name: "without FastSplit", args: []string{"-odi", "-OFastSplit=0"}, run: []string{"-qf"}},                       // sortbysignature
	{name: "expensive mailers held", args: []string{"-odi", "-OFastSplit=0", "-OHoldExpensive=true"}},                // sortexpensive too
	{name: "expensive mailers in a queue run", args: []string{"-odq"}, run: []string{"-qf", "-OHoldExpensive=true"}}, // the same, from the queue
	{name: "deferred", args: []string{"-odd"}, run: []string{"-qf"}},                                                 // aliases in the queue run
	{name: "on the command line", program: true, args: []string{"-odq"}, run: []string{"-qf"}},                       // one sendtolist
	{name: "on the command line, me too", program: true, args: []string{"-odi", "-OMeToo=false", "-OFastSplit=0"}},   // sender is on the list
	{name: "recipients refused by number", args: []string{"-odq", "-OMaxRecipientsPerMessage=60"}, run: []string{"-qf"}},
}

// aliases lead to each other, to lists with owners, to files of addresses, to themselves, and to what is not allowed.
const aliases = `postmaster: root
root: admin@one.test
list: user1@one.test, User1@one.test, user2@two.test, other, user1@one.test
other: list2, user3@hosted.test, "quoted user"@one.test
list2: user1@one.test, user4@slow.test, list
owner-owned: boss@one.test
owned: user1@one.test, user5@two.test, user6@two.test
owner-owned2: boss2@one.test
owned2: user5@two.test, user7@one.test
included: :include:@DIR@/include
selfish: selfish, user8@one.test
selfonly: \selfonly
loop1: loop2
loop2: loop1
alone: single@one.test
nobodyhere: nosuchuser
program: "|/bin/dd of=/dev/null status=none"
file: @DIR@/file
bad: user@bad.test, user9@one.test
late: user@late.test, user9@one.test
case: MiXed@One.Test, mixed@one.test, mixed@ONE.test
daemon: root
bin: user1@one.test, daemon
`

// includes is the file of the alias "included": duplicates inside and of what others list, comments, another alias.
const includes = `# a comment
user1@one.test
user20@one.test, user21@two.test
USER20@one.test
user20@one.test
(comment) user22@hosted.test
Somebody <user23@slow.test>
owned
list
nosuchuser2
`

// mixture is a list of recipients with everything that makes duplicates or nearly so. The same seed gives the same list.
func mixture(seed uint64) []string {
	random := rand.New(rand.NewPCG(seed, 1998))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	domain := func() string {
		return pick("one.test", "One.Test", "ONE.TEST", "two.test", "three.test", "a.hosted.test", "b.hosted.test", "hosted.test", "HOSTED.test",
			"slow.test", "a.slow.test", "bad.test", "late.test", "host.hosts.test", "[192.0.2.1]", "one.test.")
	}
	var all []string
	for range 40 + random.IntN(120) {
		user := pick("user", "User", "USER") + fmt.Sprint(random.IntN(12))
		switch random.IntN(12) {
		case 0, 1, 2:
			all = append(all, pick("list", "other", "list2", "owned", "owned2", "included", "selfish", "selfonly", "alone", "nobodyhere",
				"bad", "late", "case", "root", "postmaster", "daemon", "bin", "program", "file", "loop1", "loop2", "LIST", "Included"))
		case 3:
			all = append(all, pick(`\root`, `\list`, `nosuchuser`, `root+detail`, `list+detail`, `"root"`, `"list"`, `\\root`, `nobody`))
		case 4:
			all = append(all, `"`+user+`"@`+domain())
		case 5:
			all = append(all, `"quoted user"@`+domain())
		case 6:
			all = append(all, user+"%two.test@"+pick("one.test", "host.hosts.test"))
		case 7:
			all = append(all, pick("list@hosts.test", "list@host.hosts.test", "included@host.hosts.test", "single@one.test", "boss@one.test"))
		default:
			all = append(all, user+"@"+domain())
		}
	}
	return all
}
