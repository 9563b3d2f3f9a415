package main

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPasswordFilesThatTheDaemonCannotRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("files are given to other users: root only")
	}
	nobody, err := user.Lookup("nobody")
	require.NoError(t, err, "there is somebody who is not root")
	group, err := user.LookupGroupId(nobody.Gid)
	require.NoError(t, err, "in a group")
	for _, c := range []struct {
		rule     string
		uid, gid string
		mode     os.FileMode
		bad      bool
	}{
		{"root's own", "0", "0", 0o640, true},
		{"the user's own", nobody.Uid, "0", 0o600, false},
		{"the user's own, and not for him", nobody.Uid, group.Gid, 0o040, true},
		{"the group's", "0", group.Gid, 0o640, false},
		{"the group's, and not for it", "0", group.Gid, 0o600, true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "relay.auth")
			require.NoError(t, os.WriteFile(file, []byte(goodSecret), c.mode), "there is a file")
			require.NoError(t, os.Chmod(file, c.mode), "with its mode")
			uid, err := strconv.Atoi(c.uid)
			require.NoError(t, err, "users are numbers")
			gid, err := strconv.Atoi(c.gid)
			require.NoError(t, err, "and groups")
			require.NoError(t, os.Chown(file, uid, gid), "and its owner")
			found := examineAuth(Config{Routes: []RouteSection{{Domain: "a.example", Auth: file}, {Domain: "b.example"}}}, nobody)
			if !c.bad {
				assert.Empty(t, found, "it can be read")
				return
			}
			require.Len(t, found, 1, "it cannot be read")
			assert.Contains(t, found[0].String(), "unsafe: route a.example: auth: "+file+" cannot be read by the user nobody", "that is told")
			assert.Equal(t, "chown nobody "+file, found[0].Mend, "with what mends it")
		})
	}
	assert.Empty(t, examineAuth(Config{Routes: []RouteSection{{Auth: "/etc/shadow"}}}, nil), "without a user of ours nobody knows")
}
