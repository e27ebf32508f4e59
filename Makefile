# Each target installs what it needs when it is missing, says what, and is quick the second time.
.DEFAULT_GOAL := help
.PHONY: help demo test check figures bench bench-write-path setup ui clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

demo: ## 16 simulated cameras and one node that records and shows them; Ctrl-C stops both
	@tests/scripts/demo.sh

test: ## everything that must hold: browser part, lints, tests, browser tests
	@tests/scripts/test.sh

check: ## the quick half of test: format, lints, house rules
	@tests/scripts/setup.sh build
	@tests/scripts/ui.sh
	cargo fmt --all -- --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo test --locked -p fengsui-tests --test suite tidy

figures: ## print the short form of every figure
	@tests/scripts/figures.sh short

bench: ## measure the figures in full: recording cost beside ffmpeg and the bare floor
	@tests/scripts/figures.sh full

bench-write-path: ## cost of the write path at FILES files (1400) of MIB MiB (8) each
	@tests/scripts/setup.sh build
	cargo build --locked --release -p fengsui-tests --bin figures
	target/release/figures write-path --files $(or $(FILES),1400) --mib $(or $(MIB),8) $(if $(OUT),--out $(OUT))

setup: ## install what building and testing need
	@tests/scripts/setup.sh test

ui: ## build the browser's part
	@tests/scripts/setup.sh build
	@tests/scripts/ui.sh

clean: ## remove what was built and recorded here
	cargo clean
	rm -rf web/ui/dist demo-data
