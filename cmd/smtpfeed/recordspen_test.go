package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/smtpfeed/smtpfeed/lmtp"
)

// A fakeFile is a recordFile in memory that takes what it is given when it is let to.
type fakeFile struct {
	text   bytes.Buffer
	write  func(text []byte) (int, error) // what Write does first; it may block
	closed bool
}

func (f *fakeFile) Write(text []byte) (n int, err error) {
	n = len(text)
	if f.write != nil {
		n, err = f.write(text)
	}
	f.text.Write(text[:n])
	return n, err
}

func (f *fakeFile) Close() error          { f.closed = true; return nil }
func (f *fakeFile) look() (fileEnd, bool) { return endOurs, false }
func (f *fakeFile) keep(err error) bool   { return err == syscall.ENOSPC }

// stopped is a write that waits until the channel has something for it.
func stopped(reader <-chan struct{}) func([]byte) (int, error) {
	return func(text []byte) (int, error) {
		<-reader
		return len(text), nil
	}
}

// fakeRecords are records whose files are these, by path.
func fakeRecords(t *testing.T, files map[string]*fakeFile) (*records, *lockedBuffer) {
	t.Helper()
	log := new(lockedBuffer)
	open := func(path string) (recordFile, error) {
		if f := files[path]; f != nil {
			return f, nil
		}
		return nil, os.ErrNotExist
	}
	r, err := openRecordsBy(open, "a", slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err, "the file is opened")
	return r, log
}

// took is how long something lasts in the bubble.
func took(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}

var five = uint64(len(exampleRecords()))

func TestStoppedReader(t *testing.T) { synctest.Test(t, testStoppedReader) }

func testStoppedReader(t *testing.T) {
	reader := make(chan struct{})
	file := &fakeFile{write: stopped(reader)}
	r, log := fakeRecords(t, map[string]*fakeFile{"a": file})
	r.setWait(20 * time.Second)

	assert.Equal(t, 20*time.Second, took(func() { r.write(exampleRecords()) }), "mail goes on without a batch after log.wait, and not before")
	assert.Equal(t, recordState{Lost: five, Trouble: errNotTaken.Error(), Since: time.Now()}, r.current(), "the batch counts as lost, and status says why")
	assert.Zero(t, took(func() {
		for range 100 {
			r.write(exampleRecords())
		}
	}), "while the reader is stopped no other batch waits")
	assert.Equal(t, 101*five, r.current().Lost, "they are counted")
	assert.Equal(t, 1, strings.Count(log.String(), "level=ERROR"), "an outage is told once:\n%s", log)

	reader <- struct{}{} // the reader reads what is in the pipe
	synctest.Wait()
	assert.Equal(t, recordState{Lost: 101 * five, Late: five}, r.current(), "the batch that was under way is late, and the trouble over")
	assert.Contains(t, log.String(), "written again", "which is told")
	close(reader)
	r.write(exampleRecords())
	assert.Equal(t, recordState{Written: five, Lost: 101 * five, Late: five}, r.current(), "records are written again")
	assert.Len(t, validLines(t, file.text.String()), int(2*five), "every line is whole")
	r.close()
}

func TestBlockedBatchHoldsUpNobody(t *testing.T) { synctest.Test(t, testBlockedBatch) }

func testBlockedBatch(t *testing.T) {
	reader := make(chan struct{})
	a, b := &fakeFile{write: stopped(reader)}, &fakeFile{}
	r, _ := fakeRecords(t, map[string]*fakeFile{"a": a, "b": b})
	var batches sync.WaitGroup
	for range 50 {
		batches.Go(func() { r.write(exampleRecords()) })
	}
	synctest.Wait()
	assert.Zero(t, took(func() { r.counts() }), "counting waits for nobody")
	assert.Zero(t, took(func() { assert.Error(t, r.reopen("none"), "a file that is not there is refused") }), "so does a reload that fails")
	assert.Zero(t, took(func() { assert.NoError(t, r.reopen("b"), "another file is opened") }), "and one that does not")
	assert.LessOrEqual(t, took(batches.Wait), swapGrace, "the blocked batch gives way, and the others are written to the new file")
	assert.Equal(t, recordState{Written: 49 * five, Lost: five}, zeroTrouble(r.current()), "one batch is lost")
	assert.Len(t, validLines(t, b.text.String()), int(49*five), "what was not begun goes to the new file")
	assert.False(t, a.closed, "the old file cannot be closed yet")
	close(reader)
	synctest.Wait()
	assert.True(t, a.closed, "and is when it moves")
	assert.Equal(t, five, r.current().Late, "what it took then was late")
	r.close()
}

func zeroTrouble(s recordState) recordState {
	s.Trouble, s.Since = "", time.Time{}
	return s
}

func TestCloseWhileBlocked(t *testing.T) { synctest.Test(t, testCloseWhileBlocked) }

func testCloseWhileBlocked(t *testing.T) {
	reader := make(chan struct{})
	r, _ := fakeRecords(t, map[string]*fakeFile{"a": {write: stopped(reader)}})
	batch := make(chan struct{})
	go func() {
		defer close(batch)
		r.write(exampleRecords())
	}()
	synctest.Wait()
	assert.LessOrEqual(t, took(r.close), swapGrace, "the end of the program does not wait for the reader")
	<-batch
	assert.Zero(t, took(func() { r.write(exampleRecords()) }), "what comes later waits for nothing")
	close(reader)
}

func TestSlowReader(t *testing.T) { synctest.Test(t, testSlowReader) }

func testSlowReader(t *testing.T) {
	slow := &fakeFile{write: func(text []byte) (int, error) {
		time.Sleep(20 * time.Second)
		return len(text), nil
	}}
	r, _ := fakeRecords(t, map[string]*fakeFile{"a": slow})
	lasted := took(func() {
		for range 100 { // a list of 100,000 recipients
			r.write(exampleRecords())
		}
	})
	assert.Less(t, lasted, 2*time.Minute, "a reader that takes a little all the time does not make a list late for ever")
	s := r.current()
	assert.Equal(t, 100*five, s.Written+s.Lost, "every record is counted once")
	time.Sleep(time.Minute)
	synctest.Wait()
	slow.write = nil
	for range 20 {
		r.write(exampleRecords())
	}
	assert.Equal(t, defaultRecordWait, r.patience, "patience comes back with the speed")
	r.close()
}

func TestDiskFullInsideALine(t *testing.T) { synctest.Test(t, testDiskFull) }

func testDiskFull(t *testing.T) {
	file := &fakeFile{}
	r, log := fakeRecords(t, map[string]*fakeFile{"a": file})
	file.write = func(text []byte) (int, error) {
		return bytes.IndexByte(text, '\n') + 10, syscall.ENOSPC // one line, and ten octets of the next
	}
	r.write(exampleRecords())
	assert.Equal(t, recordState{Written: 1, Lost: five - 1}, zeroTrouble(r.current()), "the line that is whole counts as written")
	assert.Contains(t, r.current().Trouble, "no space left", "status says why the others are not")
	file.write = nil
	r.write(exampleRecords())
	assert.Equal(t, recordState{Written: 1 + five, Lost: five - 1}, r.current(), "records resume by themselves")
	lines := strings.Split(strings.TrimSuffix(file.text.String(), "\n"), "\n")
	require.Len(t, lines, int(2+five), "the torn line, and six whole ones")
	assert.Len(t, lines[1], 9, "the torn line stands alone")
	validLines(t, strings.Join(append(lines[:1:1], lines[2:]...), "\n")+"\n")
	assert.Contains(t, log.String(), "lost=4", "the end of the outage tells its loss")
	r.close()
}

func TestBrokenDisk(t *testing.T) { synctest.Test(t, testBrokenDisk) }

func testBrokenDisk(t *testing.T) {
	file := &fakeFile{write: func([]byte) (int, error) { return 0, syscall.EIO }}
	files := map[string]*fakeFile{"a": file}
	r, _ := fakeRecords(t, files)
	assert.Zero(t, took(func() { r.write(exampleRecords()) }), "mail does not wait for a broken disk")
	assert.True(t, file.closed, "the file is closed")
	delete(files, "a")
	r.write(exampleRecords())
	assert.Equal(t, 2*five, r.current().Lost, "what cannot be written is counted")
	files["a"] = &fakeFile{}
	r.write(exampleRecords())
	assert.Equal(t, recordState{Written: five, Lost: 2 * five}, r.current(), "the file is opened anew by itself")
	r.close()
}

func TestDiskThatHangsAtOpening(t *testing.T) { synctest.Test(t, testHungOpen) }

func testHungOpen(t *testing.T) {
	answers := make(chan struct{})
	open := func(string) (recordFile, error) {
		<-answers
		return &fakeFile{}, nil
	}
	var r *records
	assert.Equal(t, openGrace, took(func() {
		var err error
		r, err = openRecordsBy(open, "a", slog.New(slog.DiscardHandler))
		require.NoError(t, err, "that is no reason not to start")
	}), "the daemon starts without it")
	assert.Equal(t, leastPatience, took(func() { r.write(exampleRecords()) }), "a batch tries shortly")
	assert.ErrorIs(t, r.reopen("b"), errNotOpen, "a reload gives up, too")
	close(answers)
	synctest.Wait()
	r.write(exampleRecords())
	assert.Equal(t, recordState{Written: five, Lost: five}, r.current(), "records begin when the disk answers")
	r.close()
}

// validLines are the lines of a text, each of which must be a whole record.
func validLines(t *testing.T, text string) []string {
	t.Helper()
	require.True(t, strings.HasSuffix(text, "\n"), "the last line is whole: %q", text)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, line := range lines {
		require.True(t, json.Valid([]byte(line)), "%q is a record", line)
	}
	return lines
}

func TestRecordFileGoesAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	path := filepath.Join(dir, "d.jsonl")
	require.NoError(t, os.Mkdir(dir, 0o700), "there is a directory")
	log := new(lockedBuffer)
	r, err := openRecords(path, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err, "the file is opened")
	defer r.close()
	r.write(exampleRecords())

	require.NoError(t, os.Remove(path), "somebody removes the file")
	r.write(exampleRecords())
	assert.Len(t, readLines(t, path), int(five), "it is made anew, for a file without a name loses records without a word")
	assert.Contains(t, log.String(), "was removed", "and the log says so")

	require.NoError(t, os.RemoveAll(dir), "somebody removes the directory")
	r.write(exampleRecords())
	assert.Equal(t, recordState{Written: 2 * five, Lost: five}, zeroTrouble(r.current()), "that is counted")
	require.NoError(t, os.Mkdir(dir, 0o700), "and puts it back")
	r.write(exampleRecords())
	assert.Len(t, readLines(t, path), int(five), "records resume by themselves")
}

func TestTornByAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.jsonl")
	r, err := openRecords(path, slog.New(slog.DiscardHandler))
	require.NoError(t, err, "the file is opened")
	defer r.close()
	r.write(exampleRecords())
	other, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err, "another process has the file, too")
	_, err = io.WriteString(other, `{"time":"20`)
	require.NoError(t, err, "and meets a full disk inside a line")
	require.NoError(t, other.Close(), "and ends")
	r.write(exampleRecords())
	r.write(exampleRecords())
	lines := readLines(t, path)
	require.Len(t, lines, int(3*five)+1, "its half line stands alone")
	assert.Equal(t, `{"time":"20`+"\n", lines[five], "behind what was there before")
}

func TestNonBlockingStandardOutput(t *testing.T) {
	var fds [2]int
	require.NoError(t, syscall.Pipe2(fds[:], syscall.O_CLOEXEC), "there is a pipe")
	in, out := os.NewFile(uintptr(fds[0]), "in"), os.NewFile(uintptr(fds[1]), "out")
	defer in.Close()
	require.NoError(t, syscall.SetNonblock(fds[1], true), "a process that shares it makes it non-blocking")
	open := func(string) (recordFile, error) { return &diskFile{File: out, shared: true}, nil }
	r, err := openRecordsBy(open, "-", slog.New(slog.DiscardHandler))
	require.NoError(t, err, "it is written")
	var batch []lmtp.Record
	for len(batch) < 2000 { // far more than a pipe holds
		batch = append(batch, exampleRecords()...)
	}
	read := make(chan string, 1) // sent once by the reader
	go func() {
		text, _ := io.ReadAll(in)
		read <- string(text)
	}()
	r.write(batch)
	require.NoError(t, out.Close(), "the program ends")
	assert.Len(t, validLines(t, <-read), len(batch), "every record is read, and whole")
	assert.Equal(t, recordState{Written: uint64(len(batch))}, r.current(), "and none counts as lost")
	r.close()
}
