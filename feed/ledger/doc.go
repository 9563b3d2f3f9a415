// Package ledger keeps on disk what was delivered, until the host MTA is known to have taken the replies.
//
// When smtpfeed ends between a remote host's final 2xx and the host MTA's reading of our reply, the host MTA sends the
// message again, and its recipients would get it twice. The feeder orders each such delivery to be kept here before the
// reply, and to be forgotten once it was taken; what is still here at the next start is answered without a second delivery.
//
// # Promises
//
//   - What was kept and whose done was called after its commit is found by the next Open: after kill -9 in either mode, after
//     the loss of power in Power mode. What was forgotten is not found if its done was called after its commit, and else it
//     may be.
//   - Failure is never the mail's problem. Keep never blocks and Open never fails; done is called also when nothing can be
//     kept. Only a disk that hangs makes done late: whoever waits for it needs a patience of his own.
//   - A full or read-only disk, a file in use, a missing directory: one warning with what to do, and the file is tried again
//     after 1 s, 2 s, 4 s, 8 s and then every 10 s. What was kept meanwhile is written then, up to Config.Queue recipients.
//   - A file that is damaged is set aside as PATH.corrupt-TIME (only the last one is kept), and a new one begun with what
//     could be read. One that killed its reader twice (counted in PATH.opening) is set aside unread at the third attempt. No
//     content of a file can end the process, make it loop or take memory out of proportion to the file.
//   - Memory is bounded: Config.Queue recipients that wait for the disk, as many that wait for a file, and some 50 octets for
//     each message in the file.
//
// # Time
//
// At Open, deliveries older than Config.Keep are deleted. One from the future (the clock was wrong then, or is now) counts as
// made now, on disk too, so that it ends. A clock that is set forward makes deliveries old before their time: they are lost,
// and may be delivered again. While the Ledger runs nothing ages: who keeps must forget.
//
// # On disk
//
// A bbolt file of mode 0600 with two buckets: what it is (smtpfeed: version), and the deliveries, one value each (codec.go),
// under a number that only grows. So a commit touches the last page, and forgetting mostly the first ones.
//
//	codec.go    a delivery as octets, with a checksum
//	pages.go    a bbolt file read without bbolt, which trusts its pages
//	load.go     what a file holds
//	file.go     lock, attempts, setting aside
//	store.go    the open file: commits, and which message has which keys
//	guard.go    bbolt's panics as errors
//	group.go    what the next commit changes
//	opening.go  from a path to a store, and what is done about a bad file
//	keeper.go   the goroutine that owns the file; outages
//	ledger.go   Open, Keep, Close: the queue
//	stats.go    gauges and counters
//
// # Who owns what
//
// The keeper, one goroutine that Open starts and Close ends, owns the file and everything about it; Open itself does before.
// Behind the Ledger's mutex are only the queue and a copy of the gauges, and nothing is done under it that waits. The keeper
// takes all that waits as one transaction, so that while one fdatasync is under way the next group gathers, and then calls
// the dones in order. An entry for which there is no room has its done called by a goroutine that does nothing else.
//
// # Never
//
// It never runs bbolt without a free list on disk: bbolt would read the file in a goroutine of its own, whose panic ends the
// process. It never goes on with a DB after an error: it closes it and reads the file again.
//
// # Bugs
//
// Open waits for the disk: it reads the file, some 4 us a message, and a new file costs an fdatasync also in Process mode.
//
// bbolt holds its own locks after a panic, so the mapping of a damaged file (64 MiB of address space, no memory) is never
// given back.
//
// bbolt never shrinks a file. It is begun anew when nothing is left in it: at Open from 1 MiB, and while running from 16 MiB.
//
// When the newer one of the two meta pages is unreadable bbolt falls back to the older one, as after a crash in the middle of
// a commit: then the last commit is lost without a word.
//
// Of a damaged file only what the tree still leads to is read: a wrong octet at its root loses everything. Pages that nothing
// leads to may hold what was forgotten, and are left alone.
//
// A file that is deleted or moved while it is open is noticed within 10 s, and what it held is not written to the new one.
package ledger
