#!/bin/sh
# The settings the scripts are written for, whatever the host has.
sysctl -q net.ipv4.tcp_rmem="4096 131072 6291456"
sysctl -q net.ipv4.tcp_wmem="4096 16384 4194304"
sysctl -q net.ipv4.tcp_congestion_control=reno
sysctl -q net.ipv4.tcp_no_metrics_save=1
sysctl -q net.ipv4.tcp_syncookies=0
sysctl -q net.ipv4.tcp_ecn=0
sysctl -q net.ipv4.tcp_early_retrans=3
