package killloop

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

const (
	from = "m@lists.example"
	to   = "u@d.example"
)

// take and tell are entries of a recorder, at a time. A session began one tick before its message.
func take(at int64, id string) Entry {
	return Entry{At: at, Since: at - 1, Kind: Taken, IDs: []string{id}, From: from, To: []string{to}, Digest: "d"}
}

func tell(at int64, ids ...string) Entry { return Entry{At: at, Kind: Told, IDs: ids} }

// delivered is smtpfeed's record of it.
func delivered(id string) Record {
	return Record{From: from, To: to, Outcome: "delivered", Reply: Reply(id)}
}

// judged is the verdict on a mail to one recipient.
func judged(e Evidence) Verdict {
	e.Mails = []Mail{{from, []string{to}}}
	return Judge(e)
}

func TestCopyOfATwiceDeliveredMailHasACause(t *testing.T) {
	whole := []Entry{take(10, "a1-1"), tell(15, "a1-1")}
	again := []Entry{take(50, "a2-1"), tell(51, "a2-1")}
	for _, row := range []struct {
		name     string
		evidence Evidence
		cause    Cause
		allowed  bool
		age      time.Duration
	}{
		{"the recorder died before its 250", Evidence{Entries: []Entry{take(10, "a1-1")}, Dead: []string{"a1"}}, Unanswered, true, 0},
		{"another recorder died", Evidence{Entries: []Entry{take(10, "a1-1")}, Dead: []string{"b1"}}, Unanswered, false, 0},
		{"the 250 was given up although everybody lives", Evidence{Entries: []Entry{take(10, "a1-1")}}, Unanswered, false, 0},
		{"smtpfeed died before the 250", Evidence{Entries: []Entry{take(10, "a1-1"), tell(30, "a1-1")}, Deaths: []Death{{20, 22}}}, Unanswered, true, 0},
		{"smtpfeed died before the dot was read", Evidence{Entries: []Entry{{
			At: 25, Since: 5, Kind: Taken, IDs: []string{"a1-1"}, From: from, To: []string{to}, Digest: "d",
		}, tell(30, "a1-1")}, Deaths: []Death{{20, 22}}}, Unanswered, true, 0},
		{"smtpfeed died behind the 250", Evidence{Entries: whole, Deaths: []Death{{20, 22}}}, Unread, true, 5},
		{"smtpfeed was dying when its session began", Evidence{
			Entries: []Entry{take(22, "a1-1"), tell(23, "a1-1")}, Deaths: []Death{{20, 22}},
		}, Unanswered, true, 0},
		{"smtpfeed had died earlier", Evidence{Entries: whole, Deaths: []Death{{5, 7}}}, Unread, false, 0},
		{"nobody died", Evidence{Entries: whole}, Unread, false, 0},
		{"the recorder died behind its 250", Evidence{Entries: whole, Dead: []string{"a1"}}, Unread, false, 0},
		{"smtpfeed had recorded it before it died", Evidence{
			Entries: whole, Records: []Record{delivered("a1-1")}, Deaths: []Death{{20, 22}},
		}, Recorded, false, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.evidence.Entries = slices.Concat(row.evidence.Entries, again)
			row.evidence.Records = append(row.evidence.Records, delivered("a2-1"))
			v := judged(row.evidence)
			assert.Equal(t, []Duplicate{{
				From: from, To: to, First: "a1-1", Second: "a2-1", Cause: row.cause, Allowed: row.allowed, Age: row.age,
			}}, v.Duplicates, "one copy too many")
			assert.Equal(t, 2, v.Copies, "of two")
			assert.Equal(t, 1, v.Count(row.cause), "counted as such")
			assert.Equal(t, !row.allowed, len(v.Excess()) == 1, "it is in excess unless it is allowed")
			assert.Empty(t, v.Wrong, "nothing else is found fault with")
		})
	}
}

func TestVerdictFindsWhatMustNotBe(t *testing.T) {
	good := []Entry{take(10, "a1-1"), tell(11, "a1-1")}
	changed := take(20, "a1-2")
	changed.Digest = "other"
	for _, row := range []struct {
		name     string
		evidence Evidence
		says     string
	}{
		{"a record without a delivery", Evidence{Entries: good, Records: []Record{delivered("a1-9")}}, `as delivered by "a1-9"`},
		{"a record of somebody else's delivery", Evidence{Entries: good, Records: []Record{
			{From: from, To: "other@d.example", Outcome: "delivered", Reply: Reply("a1-1")},
		}}, "other@d.example's copy"},
		{"a delivery without a message's name", Evidence{Entries: good, Records: []Record{
			{From: from, To: to, Outcome: "delivered", Reply: "250 Ok"},
		}}, "is delivered: 250 Ok"},
		{"a failure", Evidence{Entries: good, Records: []Record{{From: from, To: to, Outcome: "failed", Reply: "550 no"}}}, "is failed: 550 no"},
		{"a bounce", Evidence{Entries: append(good, Entry{At: 9, Kind: Taken, IDs: []string{"a1-3"}, To: []string{from}})}, "mail of <>"},
		{"another content", Evidence{Entries: append(good, changed, tell(21, "a1-2"))}, "another content, as a1-2"},
		{"a broken protocol", Evidence{Entries: append(good, Entry{Kind: Broken, What: "bare LF"})}, "bare LF"},
		{"a reply to nothing", Evidence{Entries: append(good, tell(12, "a1-7"))}, "a1-7 was answered and not taken"},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := judged(row.evidence)
			assert.Len(t, v.Wrong, 1, "one thing")
			assert.Contains(t, v.Wrong[0], row.says, "which is named")
		})
	}
}

func TestVerdictOnARoundInWhichNothingDied(t *testing.T) {
	v := judged(Evidence{Entries: []Entry{take(10, "a1-1"), tell(11, "a1-1")}, Records: []Record{
		{From: from, To: to, Outcome: "deferred", Reply: "451 4.4.2 no"}, delivered("a1-1"),
	}})
	assert.Equal(t, Verdict{Recipients: 1, Copies: 1}, v, "there is nothing to say")
	assert.Equal(t, Verdict{Recipients: 1, Missing: []string{to + " of " + from}}, judged(Evidence{}), "but when the mail did not come")
}

func TestCopiesWithoutARecordAreAtRisk(t *testing.T) {
	v := judged(Evidence{Entries: []Entry{take(10, "a1-1"), tell(11, "a1-1")}, Deaths: []Death{{12, 12}}})
	assert.Equal(t, 1, v.AtRisk, "only the ledger can know of it")
	assert.Empty(t, v.Duplicates, "and did")
}

func TestThirdCopyIsASecondDuplicate(t *testing.T) {
	v := judged(Evidence{
		Entries: []Entry{take(30, "a1-3"), take(10, "a1-1"), take(20, "a1-2"), tell(31, "a1-3")},
		Deaths:  []Death{{11, 12}, {21, 22}}, Records: []Record{delivered("a1-3")},
	})
	assert.Len(t, v.Duplicates, 2, "whatever the order of the files")
	assert.Equal(t, "a1-1", v.Duplicates[0].First, "the first copy")
	assert.Equal(t, "a1-2", v.Duplicates[0].Second, "was followed by the second")
	assert.Equal(t, "a1-2", v.Duplicates[1].First, "and that")
	assert.Equal(t, "a1-3", v.Duplicates[1].Second, "by the third")
	assert.Empty(t, v.Excess(), "each after a kill")
}

// in is a record of an envelope, at a time.
func in(at int64, envelope, id string) Record {
	r := delivered(id)
	r.Time, r.Envelope = time.Unix(0, at), envelope
	return r
}

func TestRecordedCopyMayComeAgainWhenTheHostDiedBehindTheLastReply(t *testing.T) {
	answer := func(at int64, envelope string) Answer { return Answer{Time: time.Unix(0, at), Envelope: envelope} }
	for _, row := range []struct {
		name    string
		records []Record
		answers []Answer
		deaths  []Death
		agents  int
		cause   Cause
	}{
		{"it had all replies", []Record{in(12, "1", "a1-1")}, []Answer{answer(13, "1")}, nil, 1, HandedBack},
		{"it lives", []Record{in(12, "1", "a1-1")}, []Answer{answer(13, "1")}, nil, 0, Recorded},
		{"it had not all replies", []Record{in(12, "1", "a1-1")}, []Answer{answer(13, "2")}, nil, 1, Recorded},
		{"those of another smtpfeed's envelope", []Record{in(12, "1", "a1-1")}, []Answer{answer(23, "1")}, []Death{{20, 22}}, 1, Recorded},
		{"at the second try", []Record{in(12, "1", "a1-1"), in(30, "1", "a1-1")}, []Answer{answer(31, "1")}, []Death{{20, 22}}, 1, HandedBack},
	} {
		t.Run(row.name, func(t *testing.T) {
			changed := take(50, "a1-2")
			changed.Digest = "without its text"
			v := judged(Evidence{
				Entries: []Entry{take(10, "a1-1"), tell(11, "a1-1"), changed, tell(51, "a1-2")},
				Records: append(row.records, in(52, "9", "a1-2")), Answers: row.answers, Deaths: row.deaths, Agents: row.agents,
			})
			assert.Equal(t, 1, v.Count(row.cause), "there is one copy too many, for this reason: %v", v.Duplicates)
			assert.Equal(t, row.cause == Recorded, len(v.Excess()) == 1, "which excuses it or not")
			assert.Equal(t, row.cause == Recorded, len(v.Wrong) == 1, "also that its content is another: %v", v.Wrong)
			assert.True(t, v.Duplicates[0].Changed, "which is told")
		})
	}
}

func TestRecordedCopyMayNotComeAgainUnchanged(t *testing.T) {
	v := judged(Evidence{
		Entries: []Entry{take(10, "a1-1"), tell(11, "a1-1"), take(50, "a1-2"), tell(51, "a1-2")},
		Records: []Record{in(12, "1", "a1-1"), in(52, "9", "a1-2")}, Answers: []Answer{{Time: time.Unix(0, 13), Envelope: "1"}}, Agents: 1,
	})
	assert.Equal(t, 1, v.Count(HandedBack), "the host died behind the last reply: %v", v.Duplicates)
	assert.Len(t, v.Excess(), 1, "the ledger remembers that long")
}
