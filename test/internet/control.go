package internet

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Control serves the world's state as JSON, for processes that are not the world's: GET /report, GET /progress,
// GET /missing?n=1000 and POST /reset.
func (w *World) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /report", func(rw http.ResponseWriter, _ *http.Request) { writeJSON(rw, w.Report()) })
	mux.HandleFunc("GET /progress", func(rw http.ResponseWriter, _ *http.Request) { writeJSON(rw, w.Progress()) })
	mux.HandleFunc("GET /missing", w.controlMissing)
	mux.HandleFunc("POST /reset", func(rw http.ResponseWriter, _ *http.Request) {
		w.Reset()
		rw.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func (w *World) controlMissing(rw http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil || n < 0 || n > maxNumber {
		http.Error(rw, "n must be a number of recipients", http.StatusBadRequest)
		return
	}
	writeJSON(rw, w.Missing(n))
}

func writeJSON(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(rw)
	e.SetIndent("", "  ")
	e.Encode(v) // an error means that the asker has gone
}
