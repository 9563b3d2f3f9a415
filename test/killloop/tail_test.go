package killloop

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTailSkipsWhatAKilledProcessCouldNotFinish(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	tail := NewTail(path)
	all, _, err := tail.Entries()
	require.NoError(t, err, "a file that is not there yet is an empty one")
	assert.Empty(t, all, "without entries")
	write := func(text string) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		require.NoError(t, err, "the file can be written")
		_, err = f.WriteString(text)
		require.NoError(t, err, "and takes this")
		require.NoError(t, f.Close(), "for good")
	}
	write("\n" + `{"at":1,"kind":"taken","ids":["a1-1"],"to":["x"]}` + "\n" + `{"at":2,"kind":"ta`)
	all, torn, err := tail.Entries()
	require.NoError(t, err, "it can be read")
	assert.Equal(t, []Entry{{At: 1, Kind: Taken, IDs: []string{"a1-1"}, To: []string{"x"}}}, all, "what is whole is there")
	assert.Equal(t, 1, torn, "the line that was cut off is counted")
	write("\n" + `{"at":3,"kind":"told","ids":["a1-1"]}` + "\n")
	all, torn, err = tail.Entries()
	require.NoError(t, err, "it can be read on")
	assert.Equal(t, []Entry{{At: 3, Kind: Told, IDs: []string{"a1-1"}}}, all, "from where it ended")
	assert.Zero(t, torn, "and nothing is counted twice")
}
