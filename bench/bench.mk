# Included by the Makefile.

BENCH := $${CARGO_TARGET_DIR:-target}/release/tokenweir-bench

.PHONY: bench
bench: ## Measure the gateway against a bare proxy (takes about ten minutes; on a quiet machine)
	cargo build --release --package tokenweir-sim --package tokenweir-gateway --package tokenweir-bench
	$(BENCH) gateway $(ARGS)
	$(BENCH) soak
	$(BENCH) change

.PHONY: bench-cluster
bench-cluster: ## Measure changes and the age of signals on the cluster that make up has filled
	cargo build --release --package tokenweir-bench
	@eval "$$($(DEV) --quiet env)"; set -ex; $(BENCH) cluster-change $(ARGS); $(BENCH) cluster-signals $(ARGS)
