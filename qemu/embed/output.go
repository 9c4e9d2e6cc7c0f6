package main

/*
#include <stddef.h>
typedef void (*bw_output)(void *arg, const void *packet, size_t len);
void bw_call_output(bw_output fn, void *arg, const void *packet, size_t len) { fn(arg, packet, len); }
*/
import "C"
