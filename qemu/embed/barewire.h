/* The stack as a library: see embed.go and docs/embedding.md. */
#ifndef BAREWIRE_H
#define BAREWIRE_H

#include <stddef.h>
#include <stdint.h>

/* output gets each IP packet that leaves. It must not call back. */
typedef void (*bw_output)(void *arg, const void *packet, size_t len);

/* Results below 0 are negative errnos. */
int bw_open(const char *address, bw_output output, void *arg); /* "192.0.2.1/24": an instance's number */
void bw_close(int instance);
long bw_syscall(int instance, long num, long a, long b, long c, long d, long e, long f); /* of Linux, amd64 */
int bw_input(int instance, const void *packet, size_t len); /* an IP packet arrives */
int bw_sysctl(int instance, const char *name, const char *value);
int bw_advance(int instance, int64_t ns); /* virtual time passes */
int64_t bw_now(int instance);

#endif
