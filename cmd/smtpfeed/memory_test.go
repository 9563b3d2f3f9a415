package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCgroupLimits(t *testing.T) {
	tests := []struct {
		rule       string
		membership string
		files      map[string]string
		want       []int64
	}{
		{"version 2, its own limit and that of the cgroup above", "0::/system.slice/smtpfeed.service\n",
			map[string]string{"system.slice/smtpfeed.service/memory.max": "536870912\n", "system.slice/memory.max": "1073741824\n"}, []int64{512 << 20, 1 << 30}},
		{"version 2 without a limit", "0::/a\n", map[string]string{"a/memory.max": "max\n"}, nil},
		{"version 2 in a container, which sees its own as the root", "0::/\n", map[string]string{"memory.max": "268435456\n"}, []int64{256 << 20}},
		{"version 1", "5:cpu:/x\n4:memory:/a/b\n0::/\n", map[string]string{"memory/a/b/memory.limit_in_bytes": "268435456\n"}, []int64{256 << 20}},
		{"version 1 says no limit by a number", "4:memory:/\n", map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n"}, nil},
		{"nothing that can be read", "what?\n4:memory:/a\n", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			root := t.TempDir()
			membership := filepath.Join(root, "membership")
			require.NoError(t, os.WriteFile(membership, []byte(tt.membership), 0o600), "there is a membership")
			for name, text := range tt.files {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700), "there is a cgroup")
				require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600), "with a limit")
			}
			assert.Equal(t, tt.want, cgroupLimits(membership, root), "the limits are found")
		})
	}
}

func TestFitMemory(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "off") // this process keeps its own
	tests := []struct {
		rule            string
		wanted          Size
		bears           int64
		memory, warning int64
	}{
		{"a large machine takes what is configured", 1 << 30, 16 << 30, 1 << 30, 0},
		{"nothing is known", 1 << 30, 0, 1 << 30, 0},
		{"a tenth and the reserve are kept back", 1 << 30, 1000 << 20, 644 << 20, 1},
		{"a very small one gives half", 1 << 30, 100 << 20, 45 << 20, 1},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			var log bytes.Buffer
			c := defaults()
			c.LMTP.Memory, c.LMTP.MaxMessageSize = tt.wanted, 1<<20
			fitMemory(&c, tt.bears, slog.New(slog.NewTextHandler(&log, nil)))
			assert.EqualValues(t, tt.memory, c.LMTP.Memory, "lmtp.memory is what the machine bears")
			assert.EqualValues(t, tt.warning, bytes.Count(log.Bytes(), []byte("level=WARN")), "and that is said:\n%s", &log)
		})
	}
	assert.Positive(t, machineMemory(), "this machine has memory")
}
