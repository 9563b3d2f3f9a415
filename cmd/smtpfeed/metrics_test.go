package main

import (
	"context"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scrape is what a monitor reads from a registry with one collector.
func scrape(t *testing.T, take func(context.Context) (sample, bool)) string {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(newCollector(take))
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code, "the metrics are consistent: %s", w.Body)
	return w.Body.String()
}

func TestMetricsFollowTheRules(t *testing.T) {
	text := scrape(t, func(context.Context) (sample, bool) { return sample{}, true })
	assert.NotContains(t, text, "{", "no metric has a label")
	for _, m := range allMetrics() {
		assert.Regexp(t, `^smtpfeed_[a-z_]+$`, m.name, "names have our prefix")
		assert.Equal(t, m.kind == prometheus.CounterValue, strings.HasSuffix(m.name, "_total"), "%s: counters, and only they, end in _total", m.name)
		assert.True(t, strings.HasSuffix(m.help, "."), "%s: help is a sentence", m.name)
		assert.Regexp(t, `(?m)^`+m.name+` 0$`, text, "%s is there", m.name)
	}
}

func TestEveryCounterIsAMetric(t *testing.T) {
	var s sample
	read := func() map[string]float64 {
		values := map[string]float64{}
		for _, m := range allMetrics() {
			values[m.name] = m.read(&s)
		}
		return values
	}
	for _, part := range []reflect.Value{reflect.ValueOf(&s.feed).Elem(), reflect.ValueOf(&s.dns).Elem(), reflect.ValueOf(&s.lmtp).Elem(), reflect.ValueOf(&s.ledger).Elem()} {
		for i := range part.NumField() {
			f := part.Field(i)
			zero := read()
			switch {
			case f.CanInt():
				f.SetInt(1)
			case f.CanUint():
				f.SetUint(1)
			default:
				continue
			}
			changed := 0
			for name, v := range read() {
				if v != zero[name] {
					changed++
				}
			}
			assert.Equal(t, 1, changed, "%s.%s is read by one metric", part.Type(), part.Type().Field(i).Name)
		}
	}
}

func TestMetricsWithoutAnAnswer(t *testing.T) {
	text := scrape(t, func(context.Context) (sample, bool) { return sample{}, false })
	assert.Equal(t, []string{"smtpfeed_up 0"}, regexp.MustCompile(`(?m)^smtpfeed.*`).FindAllString(text, -1), "a loop that hangs shows as a gap, not as zeros")
}
