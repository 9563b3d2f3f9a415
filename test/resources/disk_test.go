package resources

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/smtpfeed/smtpfeed/test/feedd"
	"github.com/smtpfeed/smtpfeed/test/hostsim"
	"github.com/smtpfeed/smtpfeed/test/internet"
)

// tinyDisk mounts a file system of so many octets, in this process's mount namespace.
func tinyDisk(t *testing.T, flags uintptr, size string) string {
	t.Helper()
	dir := feedd.NewDir(t, "smtpfeed-disk-")
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", flags, "mode=755,size="+size), "there is a disk")
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// A list is mail to many, of which every recipient is delivered.
type list struct {
	*internet.World
	config internet.Config
	sent   int // recipients so far; none gets mail twice
}

func startList(t *testing.T) *list {
	t.Helper()
	c := internet.Config{Domains: 20, Hosts: 5, Additional: true}
	return &list{World: startWorld(t, c), config: c}
}

// deliver hands over a message to n recipients, and each must be delivered: what becomes of its record is no matter of mail's.
func (l *list) deliver(t *testing.T, p *program, n int) {
	t.Helper()
	m := hostsim.Message{From: "list@sender.test", Body: content(l.sent, 500)}
	for range n {
		m.To = append(m.To, internet.Recipient(l.sent, l.config))
		l.sent++
	}
	outcomes, _ := p.mustDeliver(t, m)
	assert.Equal(t, n, tally(outcomes)["250 2.0.0"], "every recipient is delivered, whatever becomes of its record: %v", tally(outcomes))
}

func TestFullDisk(t *testing.T) {
	disk, mail := tinyDisk(t, 0, "256k"), startList(t)
	path, filler := filepath.Join(disk, "deliveries.jsonl"), filepath.Join(disk, "filler")
	p := start(t, setup{dns: mail.DNSAddr(), port: mail.Port(), log: "deliveries = '" + path + "'", keepLog: true})
	require.NoError(t, os.WriteFile(filler, make([]byte, 200<<10), 0o600), "something else fills the disk")
	mail.deliver(t, p, 500)
	s := p.status(t).Records
	t.Logf("on a disk with room for 56 KiB: %d records written, %d lost", s.Written, s.Lost)
	assert.EqualValues(t, 500, s.Written+s.Lost, "every record is counted")
	assert.Positive(t, s.Lost, "those that did not fit are lost")
	assert.Contains(t, p.ask(t, "/status"), "no space left on device", "status says why")
	assert.Contains(t, p.ask(t, "/metrics"), "\nsmtpfeed_records_failing 1\n", "and a monitor can alarm")
	errors := feedd.LinesWith(feedd.ReadLog(t, p.path("log")), "level=ERROR")
	assert.Len(t, errors, 1, "the log alarms, once an outage: %q", errors)

	require.NoError(t, os.Remove(filler), "the disk has room again")
	mail.deliver(t, p, 100)
	again := p.status(t).Records
	assert.Equal(t, s.Written+100, again.Written, "records resume by themselves")
	assert.Equal(t, s.Lost, again.Lost, "and no more are lost")
	assert.Contains(t, p.ask(t, "/metrics"), "\nsmtpfeed_records_failing 0\n", "and the alarm ends")
	text, err := os.ReadFile(path)
	require.NoError(t, err, "the file is there")
	whole, torn := 0, 0
	for line := range strings.Lines(string(text)) {
		if json.Valid([]byte(line)) {
			whole++
		} else {
			torn++
		}
	}
	assert.EqualValues(t, again.Written, whole, "what counts as written is in the file, each record on a line of its own")
	assert.LessOrEqual(t, torn, 1, "one line may be torn, where the disk was full")
}

func TestReadOnlyDisk(t *testing.T) {
	disk, mail := tinyDisk(t, unix.MS_RDONLY, "1m"), startList(t)
	path := filepath.Join(disk, "deliveries.jsonl")
	p := start(t, setup{dns: mail.DNSAddr(), port: mail.Port(), log: "deliveries = '" + path + "'", keepLog: true})
	mail.deliver(t, p, 50)
	assert.EqualValues(t, 50, p.status(t).Records.Lost, "records are lost, and counted")
	assert.Contains(t, p.ask(t, "/status"), "read-only file system", "status says why")
	require.NoError(t, unix.Mount("", disk, "", unix.MS_REMOUNT, "size=1m"), "somebody repairs it")
	mail.deliver(t, p, 50)
	assert.Len(t, records(t, path), 50, "records resume by themselves")
}

func TestRecordFileRemoved(t *testing.T) {
	mail, dir := startList(t), filepath.Join(feedd.NewDir(t, "smtpfeed-removed-"), "log")
	require.NoError(t, os.Mkdir(dir, 0o755), "there is a directory")
	path := filepath.Join(dir, "deliveries.jsonl")
	p := start(t, setup{dns: mail.DNSAddr(), port: mail.Port(), log: "deliveries = '" + path + "'", keepLog: true})
	mail.deliver(t, p, 10)
	require.NoError(t, os.Remove(path), "somebody removes the file")
	mail.deliver(t, p, 20)
	assert.Len(t, records(t, path), 20, "it is made anew: no record goes into a file without a name")
	require.NoError(t, os.RemoveAll(dir), "somebody removes the directory")
	mail.deliver(t, p, 30)
	assert.EqualValues(t, 30, p.status(t).Records.Lost, "that is counted")
	assert.Contains(t, p.ask(t, "/status"), "no such file or directory", "and told")
	require.NoError(t, os.Mkdir(dir, 0o755), "and puts it back")
	mail.deliver(t, p, 40)
	assert.Len(t, records(t, path), 40, "records resume by themselves")
}
