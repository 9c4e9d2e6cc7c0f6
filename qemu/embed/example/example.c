/* Two instances of the stack, joined by this program: a connection over a link
 * that takes 10 ms each way, in virtual time. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../barewire.h"

enum { max_packets = 256 };

static struct packet {
	int to;
	int64_t due;
	size_t len;
	unsigned char data[2048];
} wire[max_packets];
static int first, last;
static int ends[2];

static void output(void *arg, const void *packet, size_t len)
{
	int from = (int)(intptr_t)arg;
	struct packet *p = &wire[last++ % max_packets];
	p->to = 1 - from;
	p->due = bw_now(ends[from]) + 10000000;
	p->len = len < sizeof p->data ? len : sizeof p->data;
	memcpy(p->data, packet, p->len);
}

/* carry delivers what is on the wire, packet by packet, each in its time. */
static void carry(void)
{
	for (; first != last; first++) {
		struct packet p = wire[first % max_packets];
		for (int i = 0; i < 2; i++)
			if (p.due > bw_now(ends[i]))
				bw_advance(ends[i], p.due - bw_now(ends[i]));
		bw_input(ends[p.to], p.data, p.len);
	}
}

static long check(const char *what, long r)
{
	if (r < 0 && r != -115) { /* EINPROGRESS */
		fprintf(stderr, "%s: %s\n", what, strerror((int)-r));
		exit(1);
	}
	return r;
}

static long call(int i, const char *what, long num, long a, const void *b, long c)
{
	return check(what, bw_syscall(ends[i], num, a, (long)b, c, 0, 0, 0));
}

int main(void)
{
	ends[0] = check("bw_open", bw_open("192.0.2.1/24", output, (void *)0));
	ends[1] = check("bw_open", bw_open("192.0.2.2/24", output, (void *)1));
	check("bw_sysctl", bw_sysctl(ends[0], "net.ipv4.tcp_sack", "0"));

	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(80)};
	addr.sin_addr.s_addr = inet_addr("192.0.2.2");
	long server = check("socket", bw_syscall(ends[1], SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, 0, 0, 0));
	call(1, "bind", SYS_bind, server, &addr, sizeof addr);
	call(1, "listen", SYS_listen, server, (void *)5, 0);
	long client = check("socket", bw_syscall(ends[0], SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, 0, 0, 0));
	call(0, "connect", SYS_connect, client, &addr, sizeof addr);
	carry();
	long conn = call(1, "accept", SYS_accept, server, NULL, 0);

	const char hello[] = "hello from C";
	call(0, "write", SYS_write, client, hello, sizeof hello);
	carry();
	char buf[100] = "";
	long n = call(1, "read", SYS_read, conn, buf, sizeof buf);
	printf("%ld bytes after %lld ms: %s\n", n, (long long)((bw_now(ends[1]) - 1000000000) / 1000000), buf);

	call(0, "close", SYS_close, client, NULL, 0);
	call(1, "close", SYS_close, conn, NULL, 0);
	call(1, "close", SYS_close, server, NULL, 0);
	carry();
	bw_close(ends[0]);
	bw_close(ends[1]);
	return 0;
}
