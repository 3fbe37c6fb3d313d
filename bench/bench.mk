# Included by the Makefile.

BENCH := $${CARGO_TARGET_DIR:-target}/release/tokenweir-bench
BENCH_BUILD := cargo build --release --package tokenweir-sim --package tokenweir-gateway --package tokenweir-bench

.PHONY: bench
bench: ## Measure the gateway against a bare proxy (takes about ten minutes; on a quiet machine)
	$(BENCH_BUILD)
	$(BENCH) gateway $(ARGS)
	$(BENCH) soak
	$(BENCH) change

.PHONY: bench-peers
bench-peers: ## The same with LiteLLM and Portkey, which it installs into the cache folder
	$(BENCH_BUILD)
	$(BENCH) gateway $$(tools/bench-peers) $(ARGS)

.PHONY: bench-profile
bench-profile: ## Profile the hot path of the gateway and of the bare proxy (needs strace and valgrind)
	$(BENCH_BUILD)
	$(BENCH) profile $(ARGS)

.PHONY: bench-cluster
bench-cluster: ## Measure changes and the age of signals on the cluster that make up has filled
	cargo build --release --package tokenweir-bench
	@eval "$$($(DEV) --quiet env)"; set -ex; $(BENCH) cluster-change $(ARGS); $(BENCH) cluster-signals $(ARGS)
