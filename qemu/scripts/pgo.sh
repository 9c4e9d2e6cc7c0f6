#!/bin/sh
# Make toolchain/default.pgo, the profile that images are optimized for, from hosted benchmarks of the paths that packets take, and
# from a web server's image under load: package net, the runtime and what is between them and the kernel. That needs QEMU, curl and wrk.
# It is due when those paths have changed much: functions are known by name, and lines from a function's beginning.
set -eu
GO=${GO:-go}
cd "$(dirname "$0")/../.."
out=build/pgo
rm -rf $out && mkdir -p $out

# profile ROOM BENCHMARKS
profile() {
	$GO test -trimpath -run '^$' -bench "$2" -benchtime 1s -cpuprofile "$out/$(echo "$1" | tr / -).prof" -o $out/kernel.test "./$1"
}
profile inet '(Forward64|ForwardNAT64|ForwardRules100|UDPReceive|UDPSend64|UDPEcho64|GROreceive|TCP_bulkBars|TCP_connectClose|TCP_requestResponse)$'
profile virtio/net 'Receive|TransmitBatch'
profile sys/boot UDPRoundTrip
profile sys/embed NetConn

# The image with nothing to serve: answers without a body, on connections that stay and on new ones.
profile_web() {
	url=http://127.0.0.1:18080/
	$GO run ./toolchain/barewire profile -run -seconds 40 -o $out/image -p 18080:80 ./apps/web >$out/image.log 2>&1 &
	until curl -s -m 1 -o /dev/null $url; do
		kill -0 $! || { cat $out/image.log >&2; exit 1; }
		sleep 1
	done
	wrk -t 1 -c 16 -d 16 $url
	wrk -t 1 -c 8 -d 12 -H 'Connection: close' $url
	wait $!
	mv $out/image/cpu.pprof $out/image.prof
}
profile_web

# Merged, and without the name of any folder of this machine: that of the program is as it is given here.
cd $out
$GO tool pprof -proto -output default.pgo kernel.test ./*.prof
cp default.pgo ../../toolchain/default.pgo
