# The two commands: `make run` and `make test`. The logic is in the barewire command (toolchain/)
# and in qemu/; this file only names it.

GO ?= go
APP ?= echo
PORT ?= 7007
FUZZTIME ?= 10s
BAREWIRE = $(GO) run ./toolchain/barewire

.PHONY: run run-app run-router image test check bench bench-compare bench-native bench-guest bench-hosted pgo std fuzz doctor clean
.DEFAULT_GOAL := image

# Boot a program; the echo program's UDP port 7 is then 127.0.0.1:$(PORT). APP=web and APP=iperf have their ports
# too, and APP=router boots the router and a second image behind it. ARGS are the program's arguments.
run: run-$(if $(filter router,$(APP)),router,app)

ports-echo = -p $(PORT):7/udp
ports-web = -p 8080:80/tcp
ports-iperf = -p 5201:5201
try-echo = echo hello | nc -u -w 1 127.0.0.1 $(PORT)
try-web = curl http://127.0.0.1:8080/status
try-iperf = iperf3 -c 127.0.0.1

run-app:
	@qemu/scripts/deps.sh qemu
	@echo "From another terminal:  $(try-$(APP))      (stop with Ctrl-C)"
	@$(BAREWIRE) run $(ports-$(APP)) ./apps/$(APP) $(if $(ARGS),-- $(ARGS))

run-router:
	@qemu/scripts/deps.sh qemu
	@$(GO) run ./qemu/routerdemo $(ARGS)

# build/$(APP).elf, its size, and the least memory it boots with.
image:
	@mkdir -p build
	@$(BAREWIRE) build -o build/$(APP).elf ./apps/$(APP)
	@qemu/scripts/deps.sh qemu
	@$(GO) run ./qemu/minmem build/$(APP).elf

# Everything: formatting, vet, the rooms' own tests, then the image in QEMU, alone, because it is timed.
test: check
	@qemu/scripts/deps.sh test
	@GO="$(GO)" qemu/scripts/test.sh $$($(GO) list ./... | grep -v '/qemu$$')
	@GO="$(GO)" qemu/scripts/test.sh -count=1 -v -timeout 15m ./qemu
	$(BAREWIRE) std -ci

check:
	@GO="$(GO)" qemu/scripts/check.sh

# barewire beside a Linux guest, gVisor's netstack and what the ring carries, in turns: in QEMU (needs root, for TAP devices)
# and in a process. FULL=1 takes hours instead of minutes, ONLY names groups (see docs/bench.md). Results: build/bench.
bench:
	@qemu/scripts/deps.sh bench
	@mkdir -p build/bench
	cd qemu/bench && $(GO) build -o ../../build/bench/bench ./cmd/bench
	cd qemu/bench && ../../build/bench/bench $(if $(FULL),-full) $(if $(ONLY),-only $(ONLY))

# The last result beside a saved one: OLD=file.json, NEW=file.json if it is not the last. Status 3: something got worse.
bench-compare:
	@cd qemu/bench && $(GO) run ./cmd/bench compare $(abspath $(OLD)) $(if $(NEW),$(abspath $(NEW)))

bench-native:
	$(MAKE) bench ONLY=native

bench-guest:
	$(MAKE) bench ONLY=offloads,no-offloads,forwarding,smp,size,second

# Hosted benchmarks: ring, skb, page pool, ping, UDP and TCP paths; TCP's throughput over bad links. Optimized as images are.
bench-hosted:
	$(GO) test -count=1 -v -run 'TestTCP_throughputTable|TestTCP_bbr' ./inet
	$(GO) test -pgo=toolchain/default.pgo -run '^$$' -bench . -benchmem ./skb/... ./napi/... ./virtio/... ./inet/... ./sys/... ./board/hosted

# The profile that images are optimized for: toolchain/default.pgo.
pgo:
	@GO="$(GO)" qemu/scripts/pgo.sh

# The standard library's own tests on the image; the table goes to docs/std.md, the consoles to build/std.
std:
	@qemu/scripts/deps.sh qemu
	@mkdir -p build/std
	$(BAREWIRE) std -o docs/std.md -logs build/std

# Every fuzz target for $(FUZZTIME).
fuzz:
	@GO="$(GO)" qemu/scripts/fuzz.sh $(FUZZTIME)

# What is missing on this machine, and how to get it.
doctor:
	@$(BAREWIRE) doctor

clean:
	rm -rf build
