# Each target installs what it needs when it is missing, says what, and is quick the second time.
.DEFAULT_GOAL := help
.PHONY: bench-relay campaign-relay campaign-relay-faults campaign-duty-model campaign-duty-split bench-recorder bench-city bench-cold-start bench-reconnect bench-stall bench-latency bench-fan-out bench-memory bench-search bench-reports
.PHONY: help demo demo-city test check figures fuzz bench bench-write-path bench-catalogue bench-facets bench-rules bench-wire setup ui clean
.PHONY: campaign-retention campaign-kill campaign-power-process campaign-kill-sim campaign-power campaign-crash-states campaign-truth campaign-journal campaign-archive campaign-flips campaign-io-errors campaign-wire

help: ## show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' Makefile

demo: ## 16 simulated cameras and one node that records and shows them; Ctrl-C stops both
	@tests/scripts/demo.sh

demo-city: ## a centre, three sub-centres, 48 simulated cameras and the lines between them; Ctrl-C stops all
	@tests/scripts/demo-city.sh

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

# Each builds what it needs, prints its figures, and takes more options of its subcommand in OPTIONS.
OPTIONS ?=
bench-recorder: ## recording cost and loss at CAMERAS (20,100,400,1400) for SECONDS (60) beside ffmpeg and the floors
	@tests/scripts/campaign.sh figures recorder --cameras $(or $(CAMERAS),20,100,400,1400) --seconds $(or $(SECONDS),60) $(OPTIONS)

bench-city: ## 1,400 cameras for ten minutes: cost, loss, memory
	@tests/scripts/campaign.sh figures recorder --cameras $(or $(CAMERAS),1400) --seconds $(or $(SECONDS),600) --ffmpeg 0 $(OPTIONS)

bench-cold-start: ## time until CAMERAS (1400) are recorded after a start, and how devices are asked
	@tests/scripts/campaign.sh figures cold-start --cameras $(or $(CAMERAS),1400) $(OPTIONS)

bench-reconnect: ## the same after all CAMERAS (1400) were cut off for CUT (30) seconds
	@tests/scripts/campaign.sh figures reconnect --cameras $(or $(CAMERAS),1400) --cut $(or $(CUT),30) $(OPTIONS)

bench-stall: ## a volume that takes nothing for SECONDS (20) below CAMERAS (200): losses are listed, memory is bounded (root)
	@tests/scripts/campaign.sh figures stall --cameras $(or $(CAMERAS),200) --seconds $(or $(SECONDS),20) $(OPTIONS)

bench-latency: ## latency of WATCHED (100) streams while CAMERAS (1400) are recorded
	@tests/scripts/campaign.sh figures latency --cameras $(or $(CAMERAS),1400) --watched $(or $(WATCHED),100) $(OPTIONS)

bench-fan-out: ## cost of VIEWERS (500,1000) by TLS while CAMERAS (400) are recorded, then stalled and slow ones
	@tests/scripts/campaign.sh figures fan-out --viewers $(or $(VIEWERS),500,1000) --cameras $(or $(CAMERAS),400) $(OPTIONS)

bench-memory: ## memory of a node with CAMERAS (1400) over SECONDS (3600)
	@tests/scripts/campaign.sh figures memory --cameras $(or $(CAMERAS),1400) --seconds $(or $(SECONDS),3600) $(OPTIONS)

bench-search: ## search over NODES (18) nodes of which two are dead, SEARCHES (100) times
	@tests/scripts/campaign.sh figures search --nodes $(or $(NODES),18) --searches $(or $(SEARCHES),100) $(OPTIONS)

bench-relay: ## the way of EVENTS events (50000) to the centre, and a city of NODES (18) with CAMERAS (1400) and RATE (200) changes a second
	@tests/scripts/campaign.sh figures relay --events $(or $(EVENTS),50000) --nodes $(or $(NODES),18) --cameras $(or $(CAMERAS),1400) --rate $(or $(RATE),200) --seconds $(or $(SECONDS),60) $(OPTIONS)

bench-reports: ## reports of SEEDS random journals (1000) by two computations, field by field
	@FENGSUI_SEED=$(SEED) FENGSUI_SEEDS=$(if $(filter command line,$(origin SEEDS)),$(SEEDS),1000) tests/scripts/campaign.sh duty two_computations_agree

bench-write-path: ## cost of the write path at FILES files (1400) of MIB MiB (8) each
	@tests/scripts/setup.sh build
	cargo build --locked --release -p fengsui-tests --bin figures
	target/release/figures write-path --files $(or $(FILES),1400) --mib $(or $(MIB),8) $(if $(OUT),--out $(OUT))

# The fault kit (tests/FAULTS.md): each prints its figures, and on failure the seed that replays it.
SEED ?= 1
RUNS ?=
SEEDS ?= 100000

campaign-kill: ## kill a recording node RUNS times (1000)
	@tests/scripts/campaign.sh figures kill --runs $(or $(RUNS),1000) --seed $(SEED)

campaign-power-process: ## cut the power under a recording node RUNS times (50)
	@tests/scripts/campaign.sh figures power --runs $(or $(RUNS),50) --seed $(SEED)

campaign-kill-sim: ## kill simulated nodes at any call, SEEDS seeds (100000)
	@FENGSUI_SEED=$(SEED) FENGSUI_SEEDS=$(SEEDS) tests/scripts/campaign.sh storage a_kill_at_any_call

campaign-power: ## cut the power of simulated nodes at any call, SEEDS seeds (100000)
	@FENGSUI_SEED=$(SEED) FENGSUI_SEEDS=$(SEEDS) tests/scripts/campaign.sh storage a_power_cut_at_any_call

campaign-crash-states: ## look at every state that a power cut can leave in each protocol
	@tests/scripts/campaign.sh storage crash_states::

bench-facets: ## listings of a day with and without facets; ROWS=1000000 rows in their store (0: leave that out)
	@tests/scripts/setup.sh build
	cargo build --locked --release -p fengsui-tests --bin figures
	target/release/figures facets --rows $(or $(ROWS),1000000)

bench-rules: ## rules over a day of 1,000,000 events, on one core
	@tests/scripts/campaign.sh duty --ignored a_day_of_a_million_events

bench-wire: ## cost of the parser of interleaved sessions over GB gigabytes (4)
	@tests/scripts/setup.sh build
	cargo build --locked --release -p fengsui-tests --bin figures
	target/release/figures wire --gigabytes $(or $(GB),4)

campaign-wire: ## SEEDS made-up cameras (100000): the parser of sessions against retina
	@FENGSUI_SEED=$(SEED) FENGSUI_SEEDS=$(SEEDS) tests/scripts/campaign.sh ingest every_item_is_the_one

campaign-relay: ## SEEDS simulated cities (10000) of eighteen nodes and a centre, and as many of three levels: nothing is lost
	@FENGSUI_SEED=$(SEED) FENGSUI_SEEDS=$(if $(filter command line,$(origin SEEDS)),$(SEEDS),10000) tests/scripts/campaign.sh relay --exact city::the_city_loses_nothing city::a_county_forwards_for_its_stations city::scenes::after_a_cut_everything_arrives_faster_than_it_came_about city::scenes::live_alarms_are_shown_at_once city::scenes::a_flood_of_one_node_delays_no_other

campaign-relay-faults: ## real nodes and a real message server: RUNS bad networks (200), KILLS kills (20) of centre, server and node
	@FENGSUI_SEED=$(SEED) FENGSUI_RUNS=$(or $(RUNS),200) FENGSUI_KILLS=$(or $(KILLS),20) tests/scripts/campaign.sh suite relay_faults::

campaign-duty-model: ## RUNS random acts on alarms and incidents (1000000) against an oracle that works out what should be
	@FENGSUI_SEED=$(SEED) FENGSUI_RUNS=$(or $(RUNS),1000000) tests/scripts/campaign.sh duty --exact sim::model::the_machines_do_what_the_model_does

campaign-duty-split: ## SEEDS cities (10000) whose links are cut while all sides act on the same matters: they converge, nothing is lost
	@FENGSUI_SEED=$(SEED) FENGSUI_SEEDS=$(if $(filter command line,$(origin SEEDS)),$(SEEDS),10000) tests/scripts/campaign.sh duty --exact sim::split::all_sides_converge_when_a_cut_link_heals

campaign-retention: ## retention against an independent judge, STEPS random steps (1000000)
	@FENGSUI_STEPS=$(or $(STEPS),1000000) $(if $(filter command line,$(origin SEED)),FENGSUI_SEED=$(SEED)) tests/scripts/campaign.sh storage nothing_held_is_deleted

campaign-truth: ## QUERIES questions after faults against an oracle of the files (100000)
	@FENGSUI_QUERIES=$(or $(QUERIES),100000) FENGSUI_SEED=$(SEED) tests/scripts/campaign.sh storage nothing_unplayable_is_shown

campaign-flips: ## flip RUNS random bits in every kind of file (10000)
	@FENGSUI_FLIPS=$(or $(RUNS),10000) FENGSUI_SEED=$(SEED) tests/scripts/campaign.sh storage scrub::flips

campaign-io-errors: ## let every call to the file system fail, once in every way
	@FENGSUI_EVERY=1 tests/scripts/campaign.sh storage every_call_may_fail

campaign-journal: ## SEEDS lives of a journal with power cuts (5000); on failure the smallest one is printed
	@FENGSUI_SEEDS=$(if $(filter command line,$(origin SEEDS)),$(SEEDS),5000) tests/scripts/campaign.sh storage whole_lives_with_power_cuts

campaign-archive: ## store RUNS whole segments in an archive with proof, and seek in them (4)
	@tests/scripts/campaign.sh figures archive --segments $(or $(RUNS),4)

bench-catalogue: ## the catalogue at 12.1 million segments (LONG=1: 60.5 million)
	@tests/scripts/setup.sh build
	cargo build --locked --release -p fengsui-tests --bin figures
	target/release/figures catalogue $(if $(LONG),--days 150)

setup: ## install what building and testing need
	@tests/scripts/setup.sh test

ui: ## build the browser's part
	@tests/scripts/setup.sh build
	@tests/scripts/ui.sh

fuzz: ## run the fuzzers, SECONDS=600 each (TARGET=segment_reader, recovery, catalogue, journal, archive_index or wire alone)
	@SECONDS_EACH=$(or $(SECONDS),600) $(if $(TARGET),TARGET=$(TARGET)) tests/scripts/fuzz.sh

clean: ## remove what was built and recorded here
	cargo clean
	rm -rf web/ui/dist demo-data
