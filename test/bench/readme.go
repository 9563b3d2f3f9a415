package main

import (
	"errors"
	"os"
	"strings"
)

// The tables stand in the README between <!-- NAME --> and <!-- /NAME -->.
const (
	tableMark = "bench"
	hostsMark = "bench-hosts"
	tlsMark   = "bench-tls"
)

// growthFile is where the repository keeps the picture of growth.
const growthFile = "test/bench/growth.svg"

// growthPicture shows it in the README, once it was made.
func growthPicture(file string) string {
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return "\n![Time to the last delivery, against recipients and against hosts](" + file + ")\n"
}

// replaceMarked puts text between the marks of a name, which stand on lines of their own.
func replaceMarked(document, name, text string) (string, error) {
	begin, end := "<!-- "+name+" -->", "<!-- /"+name+" -->"
	before, rest, ok := strings.Cut(document, begin)
	if !ok {
		return "", errors.New("there is no " + begin)
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", errors.New("there is no " + end + " behind " + begin)
	}
	return before + begin + "\n" + text + end + after, nil
}

// writeReadme replaces the table of a name in a file.
func writeReadme(file, name, text string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fresh, err := replaceMarked(string(old), name, text)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(fresh), 0o644)
}
