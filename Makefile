# Everything a developer runs. `make help` lists it.

GO      ?= go
TOOLS   := -modfile=internal/tools/go.mod
ROUNDS  ?= 50
N       ?= 3
SECONDS ?= 300
CASES   ?= 100000
FUZZ    ?= 30s

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## run a continuous query over real data on an embedded node
	$(GO) run ./cmd/leat demo

.PHONY: cluster
cluster: build ## run a cluster of N=3 nodes on this machine, its data in ./leat-cluster/3; 5 and 7 work as well
	deploy/cluster.sh bin/leat leat-cluster/$(N) $(N)

.PHONY: build
build: ## build bin/leat, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/leat ./cmd/leat

.PHONY: test
test: ## pass every test
	$(GO) test ./...

.PHONY: check
check: ## format, vet, static analysis, and a build for arm64
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool $(TOOLS) staticcheck ./...
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build ./...

.PHONY: race
race: ## the tests under the race detector (needs a C compiler)
	$(GO) test -race ./...

.PHONY: faults
faults: ## SIGKILL under load, ROUNDS=50 times and for SECONDS=300; of nodes and clusters, failed syncs, full disks, broken networks, 50 rounds each (needs root, strace and iptables)
	@log=$$(mktemp); export LEAT_FAULT_ROUNDS=$(ROUNDS) LEAT_FAULT_SECONDS=$(SECONDS); \
	{ $(GO) test ./cmd/leat -run Faults -count=1 -timeout 60m -v || echo "make faults: failed"; \
	  $(GO) test ./internal/torture -count=1 -timeout 2h -parallel 3 -v || echo "make faults: failed"; } 2>&1 | tee $$log; \
	printf '\nSummary\n'; sed -n 's/^.*summary: //p' $$log | sort; \
	! grep '^make faults: failed' $$log; failed=$$?; rm $$log; exit $$failed

.PHONY: fuzz
fuzz: ## CASES=100000 random queries against the oracle, then every fuzz target for FUZZ=30s
	LEAT_ORACLE_CASES=$(CASES) $(GO) test ./internal/oracle -count=1 -timeout 4h -v
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; \
	    $(GO) test $$pkg -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ) -fuzzminimizetime 20x || exit 1; \
	  done; \
	done

.PHONY: bench
bench: ## measure the node against its ceilings, and write docs/benchmarks.md
	$(GO) run ./internal/bench -write docs/benchmarks.md

.PHONY: microbench
microbench: ## the benchmarks of the packages
	$(GO) test ./... -run '^$$' -bench . -benchtime 1s
