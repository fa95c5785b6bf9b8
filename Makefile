# Needs Go and nothing else; `make test` adds redis-server and prometheus where they are missing.
GOLANGCI = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: demo test test-kubernetes test-browser lint bench chaos chaos-short chaos-long chaos-campaign crash recovery balance soak redis prometheus chromium

## demo: two dozen top-ups on this machine alone, with every kind of outcome
demo:
	go run ./cmd/topup demo

## test: every test, with the race detector; a skipped test is a failure
test: redis prometheus # the worker's tests take longest: they start first, and run beside all others
	@out=$$(mktemp); trap 'rm -f "$$out"' EXIT; \
	go test -race -timeout 40m -v ./worker ./... >"$$out" 2>&1; rc=$$?; \
	grep -E '^(ok|FAIL|panic:|WARNING: DATA RACE)|^\? |^ *--- (FAIL|SKIP)' "$$out"; \
	if [ $$rc -ne 0 ]; then cat "$$out"; exit $$rc; fi; \
	if grep -qE '^ *--- SKIP' "$$out"; then \
		echo "make test: a test was skipped, and a skipped test proves nothing" >&2; exit 1; \
	fi

## test-kubernetes: builds the manifests with Kustomize and judges them by Kubernetes' own types and rules
test-kubernetes: # not cached: Go does not see that files outside of the module have changed
	cd deploy/kubernetes/check && go test -count=1 ./...

# A module of its own: what drives a browser stays out of the one that pays.
BROWSERTEST = enqueue/httpapi/monitor/browsertest

## test-browser: the monitor in a real Chromium; installs it where it is missing
test-browser: redis chromium
	cd $(BROWSERTEST) && go test -count=1 $(ARGS) ./...

## lint: golangci-lint, pinned, through the Go toolchain
lint:
	go run $(GOLANGCI) run ./...
	cd $(BROWSERTEST) && go run $(GOLANGCI) run ./...

## bench: jobs/s, latency and memory on redis-servers that the benchmarks start themselves; some minutes
bench: redis
	go test -run '^$$' -bench . -benchtime 1x -timeout 60m ./enqueue ./enqueue/campaign ./enqueue/httpapi ./reloadly ./worker ./cmd/topup

# The same program for all sizes of a run; ARGS are its flags (make chaos ARGS='-seed 17').
CHAOS = dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; go build -o "$$dir/chaostest" ./worker/chaostest && "$$dir/chaostest"

## chaos: five minutes of kills, cuts and faults with 2,000 jobs; nobody is paid twice, nothing is lost
chaos: redis
	@$(CHAOS) -size full $(ARGS)

## chaos-short: two fixed seeds and a drawn one, then each guard taken out, which must be noticed
chaos-short: redis
	@$(CHAOS) -size short -seed 101 -seeds 2 -random -parallel 3 $(ARGS) && "$$dir/chaostest" -control all -seed 1 -parallel 3

## chaos-long: a night of it: 10,000 jobs for each of ten seeds
chaos-long: redis
	@$(CHAOS) -size long -seed 1001 -seeds 10 $(ARGS)

## chaos-campaign: the jobs come from campaigns that are paused, resumed and cancelled; three seeds, about eight minutes
chaos-campaign: redis
	@$(CHAOS) -campaign -seed 1 -seeds 3 $(ARGS)

## crash: processes kill themselves before and after each write, and around the POST; about 90 seconds
crash: redis
	@$(CHAOS) -crash all -parallel 8 $(ARGS) && "$$dir/chaostest" -crash post:after -control fresh-identifier

## recovery: how soon a job goes on whose worker was killed, at default settings; some minutes
recovery: redis
	@$(CHAOS) -recovery $(ARGS)

## balance: what meets an account that runs dry in the middle of a campaign
balance: redis
	@$(CHAOS) -balance $(ARGS)

## soak: 20 minutes of steady load, in which nothing may grow
soak: redis
	@$(CHAOS) -soak 20m $(ARGS)

# Some tests show what miniredis cannot: persistence, kills, restarts.
redis:
	@if command -v redis-server >/dev/null 2>&1; then exit 0; fi; \
	if command -v apt-get >/dev/null 2>&1; then \
		echo "redis-server is missing: installing it with apt-get (the tests start their own on a free port)"; \
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		$$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends redis-server; \
	elif command -v brew >/dev/null 2>&1; then \
		echo "redis-server is missing: installing it with brew (the tests start their own on a free port)"; \
		brew install redis; \
	else \
		echo "redis-server is missing, and neither apt-get nor brew is here: install it and run make again" >&2; exit 1; \
	fi

# The alerts and the dashboard are checked by Prometheus itself.
prometheus:
	@if command -v promtool >/dev/null 2>&1 && command -v prometheus >/dev/null 2>&1; then exit 0; fi; \
	if command -v apt-get >/dev/null 2>&1; then \
		echo "prometheus is missing: installing it with apt-get (the tests start their own on a free port)"; \
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		$$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends prometheus; \
	elif command -v brew >/dev/null 2>&1; then \
		echo "prometheus is missing: installing it with brew (the tests start their own on a free port)"; \
		brew install prometheus; \
	else \
		echo "prometheus is missing, and neither apt-get nor brew is here: install it and run make again" >&2; exit 1; \
	fi

chromium:
	@for name in chromium chromium-browser google-chrome; do if command -v $$name >/dev/null 2>&1; then exit 0; fi; done; \
	if command -v apt-get >/dev/null 2>&1; then \
		echo "chromium is missing: installing it with apt-get (the browser test starts it without a screen)"; \
		sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
		$$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium; \
	else \
		echo "chromium is missing, and apt-get is not here: install it and run make again" >&2; exit 1; \
	fi
