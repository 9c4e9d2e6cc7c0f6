#!/bin/sh
# Make toolchain/default.pgo, the profile that images are optimized for, from hosted benchmarks of the paths that packets take.
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

# Merged, and without the name of any folder of this machine: that of the program is as it is given here.
cd $out
$GO tool pprof -proto -output default.pgo kernel.test ./*.prof
cp default.pgo ../../toolchain/default.pgo
