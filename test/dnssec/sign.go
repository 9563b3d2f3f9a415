package dnssec

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// sign writes the file of each zone, signed or not, to "<name>zone" below dir. It returns the DS records of the trust anchors.
func sign(dir string, zones []Zone) (anchors []string, err error) {
	for _, sub := range []string{"in", "keys"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	conf := filepath.Join(dir, "sign.conf")
	if err := os.WriteFile(conf, []byte(signConf(dir, zones)), 0o600); err != nil {
		return nil, err
	}
	// Children first: their DS records stand in their parents.
	ordered := slices.Clone(zones)
	slices.SortStableFunc(ordered, func(a, b Zone) int { return strings.Count(b.Name, ".") - strings.Count(a.Name, ".") })
	delegations := make(map[string]string) // records for a zone from its children
	for _, z := range ordered {
		ds, err := signZone(dir, conf, z, delegations[z.Name])
		if err != nil {
			return nil, err
		}
		parent := parentOf(z.Name, zones)
		if parent == "" {
			anchors = append(anchors, ds...)
			continue
		}
		delegations[parent] += fmt.Sprintf("%s NS ns.%s\nns.%s A 127.0.0.1\n%s\n", z.Name, z.Name, z.Name, strings.Join(ds, "\n"))
	}
	return anchors, nil
}

// parentOf is the zone among those given that is nearest above one; "" without any.
func parentOf(name string, zones []Zone) (parent string) {
	for _, z := range zones {
		if z.Name != name && strings.HasSuffix(name, "."+z.Name) && len(z.Name) > len(parent) {
			parent = z.Name
		}
	}
	return parent
}

func signConf(dir string, zones []Zone) string {
	var b strings.Builder
	fmt.Fprintf(&b, `database:
    storage: %q
policy:
  - id: nsec
    algorithm: ecdsap256sha256
    single-type-signing: on
  - id: nsec3
    algorithm: ecdsap256sha256
    single-type-signing: on
    nsec3: on
template:
  - id: default
    storage: %q
    file: "%%szone"
    dnssec-signing: on
zone:
`, filepath.Join(dir, "keys"), filepath.Join(dir, "in"))
	for _, z := range zones {
		policy := "nsec"
		if z.NSEC3 {
			policy = "nsec3"
		}
		fmt.Fprintf(&b, "  - domain: %q\n    file: %q\n    dnssec-policy: %s\n", z.Name, z.Name+"zone", policy)
	}
	return b.String()
}

// signZone writes a zone's file and returns its DS records.
func signZone(dir, conf string, z Zone, delegations string) (ds []string, err error) {
	in, out := filepath.Join(dir, "in", z.Name+"zone"), filepath.Join(dir, z.Name+"zone")
	text := fmt.Sprintf("$ORIGIN .\n$TTL 300\n%s SOA ns.%s root.%s 1 3600 600 86400 60\n%s NS ns.%s\nns.%s A 127.0.0.1\n%s\n%s\n",
		z.Name, z.Name, z.Name, z.Name, z.Name, z.Name, delegations, z.Text)
	if z.Unsigned {
		return nil, os.WriteFile(out, []byte(text), 0o600)
	}
	if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
		return nil, err
	}
	args := []string{"-c", conf, "-o", dir}
	if !z.SignedAt.IsZero() {
		args = append(args, "-t", strconv.FormatInt(z.SignedAt.Unix(), 10))
	}
	if said, err := exec.Command(kzonesign, append(args, z.Name)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("kzonesign %s: %w: %s", z.Name, err, said)
	}
	if err := spoil(out, z.Spoil); err != nil {
		return nil, err
	}
	said, err := exec.Command(keymgr, "-c", conf, z.Name, "ds").Output()
	if err != nil {
		return nil, fmt.Errorf("keymgr %s ds: %w", z.Name, err)
	}
	return strings.Split(strings.TrimSpace(string(said)), "\n"), nil
}

func spoil(file string, change func(string) string) error {
	if change == nil {
		return nil
	}
	signed, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	changed := change(string(signed))
	if changed == string(signed) {
		return fmt.Errorf("%s: there was nothing to spoil", filepath.Base(file))
	}
	return os.WriteFile(file, []byte(changed), 0o600)
}
