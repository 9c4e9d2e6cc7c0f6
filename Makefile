# The two commands: `make run` and `make test`. The logic is in the barewire command (toolchain/)
# and in qemu/; this file only names it.

GO ?= go
APP ?= echo
PORT ?= 7007
FUZZTIME ?= 10s
BAREWIRE = $(GO) run ./toolchain/barewire

.PHONY: run image test check bench std fuzz doctor clean
.DEFAULT_GOAL := image

# Boot the echo program with its UDP port 7 reachable as 127.0.0.1:$(PORT).
run:
	@qemu/scripts/deps.sh qemu
	@echo "From another terminal:  echo hello | nc -u -w 1 127.0.0.1 $(PORT)      (stop with Ctrl-C)"
	@$(BAREWIRE) run -p $(PORT):7/udp ./apps/$(APP)

# build/$(APP).elf, its size, and the least memory it boots with.
image:
	@mkdir -p build
	@$(BAREWIRE) build -o build/$(APP).elf ./apps/$(APP)
	@qemu/scripts/deps.sh qemu
	@$(GO) run ./qemu/minmem build/$(APP).elf

# Everything: formatting, vet, the rooms' own tests, then the image in QEMU, alone, because it is timed.
test: check
	@qemu/scripts/deps.sh test
	$(GO) test $$($(GO) list ./... | grep -v '/qemu$$')
	$(GO) test -count=1 -v -timeout 12m ./qemu
	$(BAREWIRE) std -ci

check:
	@GO="$(GO)" qemu/scripts/check.sh

# Hosted benchmarks: ring, skb, page pool, ping and UDP paths.
bench:
	$(GO) test -run '^$$' -bench . -benchmem ./skb/... ./napi/... ./virtio/... ./inet/... ./sys/... ./board/hosted

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
