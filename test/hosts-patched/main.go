package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

func main() {
	cache := flag.String("cache", "/var/cache/smtpfeed/hosts-patched", "directory of sources and builds")
	sizes := flag.String("sizes", "10000,50000,100000", "recipients of the measured lists")
	stock := flag.Int("stock", 10000, "the largest list the stock sendmail has to take: 100,000 is minutes")
	seeds := flag.Int("seeds", 10, "random recipient lists for each mode of sendmail")
	host := flag.String("host", "", "only sendmail or postfix")
	flag.Parse()
	r := runner{cache: *cache, stock: *stock, seeds: *seeds}
	err := r.prepare(*sizes)
	if err == nil && *host != "postfix" {
		err = r.sendmail()
	}
	if err == nil && *host != "sendmail" {
		err = r.postfix()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hosts-patched:", err)
		os.Exit(1)
	}
	fmt.Println("hosts-patched: all as promised")
}

// A runner is one run of the whole.
type runner struct {
	cache string
	work  string // instances; removed at the start of the next run, so that what failed can be looked at
	sizes []int
	stock int
	seeds int
}

// prepare builds what is not built and makes the directory of the instances.
func (r *runner) prepare(sizes string) error {
	for _, s := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fmt.Errorf("no number of recipients: %q", s)
		}
		r.sizes = append(r.sizes, n)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("sendmail and Postfix start as root only")
	}
	build := exec.Command("test/hosts-patched/build", r.cache)
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build (run me at the top of the repository): %w", err)
	}
	r.work = filepath.Join(r.cache, "run")
	if err := os.RemoveAll(r.work); err != nil {
		return err
	}
	return os.Mkdir(r.work, 0o755)
}

// addresses are n recipients in d domains.
func addresses(n, d int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("user%d@d%d.hosts.test", i, i%d)
	}
	return all
}
