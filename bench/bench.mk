# Included by the Makefile.

.PHONY: bench
bench: ## Measure the gateway against a bare proxy (takes about five minutes on a quiet machine)
	cargo build --release --package tokenweir-sim --package tokenweir-gateway --package tokenweir-bench
	$${CARGO_TARGET_DIR:-target}/release/tokenweir-bench gateway $(ARGS)
	$${CARGO_TARGET_DIR:-target}/release/tokenweir-bench change
