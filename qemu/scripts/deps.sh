#!/usr/bin/env bash
# Sees to it that the named programs are there: deps.sh qemu (to run images), deps.sh bench (to
# measure them beside others), deps.sh test (all that the tests use). What is missing is installed with apt-get by root and otherwise named.
set -euo pipefail

declare -A package=(
  [qemu-system-x86_64]=qemu-system-x86 [ip]=iproute2 [ping]=iputils-ping
  [arping]=arping [nc]=netcat-openbsd [dnsmasq]=dnsmasq-base [traceroute]=traceroute
  [sftp]=openssh-client [curl]=curl [openssl]=openssl [iperf3]=iperf3 [wrk]=wrk
  [iptables-legacy]=iptables [ipset]=ipset [conntrack]=conntrack
)
programs=(qemu-system-x86_64)
[ "${1:-qemu}" = bench ] && programs+=(ip iperf3 wrk iptables-legacy)
[ "${1:-qemu}" = test ] && programs+=(ip ping arping nc dnsmasq traceroute sftp curl openssl iperf3 wrk iptables-legacy ipset conntrack)

missing=()
for p in "${programs[@]}"; do
  command -v "$p" >/dev/null || PATH="$PATH:/usr/sbin:/sbin" command -v "$p" >/dev/null || missing+=("${package[$p]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  exit 0
fi
echo "missing: ${missing[*]}" >&2
echo "install with: sudo apt-get install ${missing[*]}" >&2
# Only QEMU is needed by everything; tests that lack another program are skipped and say so.
[[ " ${missing[*]} " != *" qemu-system-x86 "* ]]
