package main

import (
	"reflect"
	"strings"
)

// reload reads the configuration again and applies what can change while mail flows: the log level and the delivery record file,
// which is opened anew in any case, for logrotate. The rest is named in the log. A file with problems changes nothing.
func (d *daemon) reload() {
	c, err := Load(d.file)
	if err != nil {
		d.log.Error("the configuration was not reloaded; the old one stays in force, and only the log files are opened anew", "error", err)
		c = d.config
	}
	// What fitSessions lowered is no change.
	if c.SMTP.Sessions > d.config.SMTP.Sessions {
		fitSessions(&c, raiseFileLimit(), d.log)
	}
	if c.LMTP.Memory > d.config.LMTP.Memory {
		fitMemory(&c, machineMemory(), d.log)
	}
	for _, key := range changedKeys(d.config, c) {
		if !strings.HasPrefix(key, "log.") {
			d.log.Warn("a changed setting needs a restart", "key", key)
		}
	}
	if err := d.delivery.records.reopen(c.Log.Deliveries); err != nil {
		d.log.Error("the delivery record file was not opened anew; the old one is written on", "error", err)
		c.Log.Deliveries = d.config.Log.Deliveries
	}
	d.delivery.records.setWait(c.Log.Wait.Duration)
	d.level.Set(c.Log.Level.Level)
	d.config.Log = c.Log
	if err != nil {
		return
	}
	d.log.Info("reloaded", "level", c.Log.Level.String(), "deliveries", c.Log.Deliveries)
}

// changedKeys lists the keys whose values differ, in the order of the file.
func changedKeys(a, b Config) []string {
	return appendChanged(nil, "", reflect.ValueOf(a), reflect.ValueOf(b))
}

// appendChanged compares two values of a section type.
func appendChanged(keys []string, prefix string, a, b reflect.Value) []string {
	for i := range a.NumField() {
		tag, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("toml"), ",")
		x, y := a.Field(i), b.Field(i)
		switch {
		case isSection(x.Type()):
			keys = appendChanged(keys, prefix+tag+".", x, y)
		case !reflect.DeepEqual(x.Interface(), y.Interface()):
			keys = append(keys, prefix+tag)
		}
	}
	return keys
}

// isSection tells a section of the file from a value: its first field has a key.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.Field(0).Tag.Get("toml") != ""
}
