package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who may send through a relay.
const (
	relayUser     = "list@relay.test"
	relayPassword = "correct horse battery staple"
)

// admit makes a Postfix that has not been started yet know relayUser, by Cyrus SASL. A door says by smtpd_sasl_path which mechanisms
// it offers: "login" is LOGIN alone, "scram" SCRAM-SHA-256 alone, and the default PLAIN and LOGIN. Debian's Postfix looks for that
// in the directory sasl beside main.cf, whatever cyrus_sasl_config_path says.
func (p *postfix) admit(t *testing.T) {
	t.Helper()
	dir := filepath.Join(p.dir, "sasl")
	require.NoError(t, os.Mkdir(dir, 0o755), "there is a directory")
	users := filepath.Join(dir, "sasldb2")
	local, realm, _ := strings.Cut(relayUser, "@")
	c := exec.Command("/usr/sbin/saslpasswd2", "-p", "-c", "-f", users, "-u", realm, local)
	c.Stdin = strings.NewReader(relayPassword)
	out, err := c.CombinedOutput()
	require.NoError(t, err, "there is a user (apt-get install sasl2-bin libsasl2-modules): %s", out)
	require.NoError(t, os.Chmod(users, 0o644), "Postfix knows the user")
	for name, mechanisms := range map[string]string{"smtpd": "PLAIN LOGIN", "login": "LOGIN", "scram": "SCRAM-SHA-256"} {
		conf := "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: " + users + "\nmech_list: " + mechanisms + "\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".conf"), []byte(conf), 0o644), "the mechanisms are chosen")
	}
}

// authorized are settings of a door for users only.
func authorized(more ...string) []string {
	return append([]string{
		"smtpd_sasl_auth_enable=yes",
		"smtpd_relay_restrictions=permit_sasl_authenticated,reject",
		"smtpd_recipient_restrictions=permit_sasl_authenticated,reject",
	}, more...)
}

// credentials makes a file of them with this mode, and returns its path.
func credentials(t *testing.T, user, password string, mode os.FileMode) string {
	t.Helper()
	path := writeFile(t, "auth.toml", []byte("user = \""+user+"\"\npassword = \""+password+"\"\n"))
	require.NoError(t, os.Chmod(path, mode), "the file's mode is set")
	return path
}
