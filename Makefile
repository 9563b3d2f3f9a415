# smtpfeed: build, test, check, fuzz, conformance, soak, bench, bench-ledger, bench-tls, bench-hosts, hosts-patched, growth, demo. Each target works on a fresh machine with Go, git and make.

GO       ?= go
FUZZTIME ?= 60s
LEDGERBENCH = -shapes a,a0,d -rounds 5
export CGO_ENABLED ?= 1

.PHONY: build test check lint fuzz conformance soak bench bench-ledger bench-tls bench-hosts hosts-patched growth demo clean need

build:
	$(GO) build -o bin/smtpfeed ./cmd/smtpfeed

# Everything: core scripts, shell tests in fake time, fuzz seeds, and the end-to-end tests with a real Postfix.
test: need
	$(GO) test -race -shuffle=on -timeout 18m ./...

# What the end-to-end tests need beside Go. It installs only where nothing can be disturbed, and else says what to do.
need:
	@sh test/e2e/need
	@sh test/hosts/need

lint:
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt is needed:" $$out; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

check: lint test
	$(GO) tool govulncheck ./...

# Go fuzzes one target of one package at a time. Without -fuzzminimizetime 1x its minimiser spends the minute on one input. What is
# found interesting is kept in Go's cache, or below FUZZCORPUS (an absolute path) where that is given, and the next run begins with it.
fuzz:
	@for pkg in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
	  for f in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$pkg/*_test.go); do \
	    echo "== $$pkg $$f"; \
	    $(GO) test ./$$pkg -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x \
	      $(if $(FUZZCORPUS),-args -test.fuzzcachedir=$(FUZZCORPUS)/$$pkg) || exit 1; \
	  done; \
	done

# Without BENCH it is the whole table, which goes into the README (see test/bench/doc.go). The flags may be others: BENCH="-shapes a,b".
bench: bin/bench
	bin/bench $(or $(BENCH),-write)

# Every fault of the catalogue, played to smtpfeed and, for comparison, to Postfix's own smtp(8). As root, 4 minutes; only smtpfeed's
# failures fail it.
conformance: need
	$(GO) test -C test/conformance -count=1 -timeout 20m -run 'TestConformance$$' -table -long -postfix

# What CI does for minutes, for longer: crash points under seeds that nobody has tried (SOAK=30m), kill -9 of everything with Postfix and
# sendmail, without and with the ledger (ROUNDS=150 SEED=1, half an hour), and the large variants of test/resources. As root.
soak: need
	SMTPFEED_CRASH_SOAK=$(or $(SOAK),30m) $(GO) test -race -count=1 -v -timeout 24h -run '^TestSoak$$' ./test/crash
	SMTPFEED_KILLLOOP_LEDGER=both SMTPFEED_KILLLOOP_ROUNDS=$(or $(ROUNDS),150) SMTPFEED_KILLLOOP_SEED=$(or $(SEED),1) \
	  $(GO) test -race -count=1 -v -timeout 24h -run '^TestKillLoop$$' ./test/killloop
	SMTPFEED_RESOURCES=large $(GO) test -race -count=1 -v -timeout 1h ./test/resources

# What the ledger costs: without one, with the default one, and with one that survives power cuts.
bench-ledger: bin/bench
	bin/bench -by raw,off,smtpfeed,power $(or $(BENCH),$(LEDGERBENCH))

# TLS at every host against plaintext: the raw client, smtpfeed, smtpfeed without ML-KEM, a tuned Postfix. As root, six minutes.
bench-tls: bin/bench
	bin/bench tls $(or $(BENCH),-rounds 2 -write)

# Lists through each host MTA, alone and with smtpfeed, as the README shows it. BENCH="-hosts postfix -lists 10000" does less.
bench-hosts: bin/bench
	@sh test/hosts/need
	bin/bench hosts $(or $(BENCH),-write)

# The source patches of patches/: builds Debian's sendmail and Postfix with and without them, and compares the two. As root, 20 minutes.
hosts-patched:
	@sh test/e2e/need
	$(GO) run ./test/hosts-patched $(PATCHED)

# Time against recipients and against hosts, as the README shows it.
growth: bin/bench
	bin/bench growth $(BENCH)

.PHONY: bin/bench
bin/bench: build
	$(GO) build -o bin/internetd ./test/internet/internetd
	$(GO) build -o bin/bench ./test/bench

demo: build
	@$(GO) build -o bin/internetd ./test/internet/internetd
	@$(GO) build -o bin/demo ./test/demo
	@bin/demo

clean:
	rm -rf bin
