// Package rtnetlink is NETLINK_ROUTE (Linux: net/core/rtnetlink.c and the IPv4
// parts of net/ipv4/devinet.c, fib_frontend.c, route.c, net/core/fib_rules.c and
// neighbour.c): links, addresses, routes, policy rules and neighbours, listed,
// made, changed, deleted, and announced to the groups of who listens.
//
// [New] gives a namespace its netlink sockets. A request is checked here and
// carried out by the room it belongs to, inet or napi, whose errors go back to
// the program as they are. Requests of one namespace are carried out one at a
// time (Linux: rtnl_mutex).
//
// IPv4 is the only family. Lists of AF_UNSPEC hold what IPv4 has, and lists of
// AF_INET6 are empty.
package rtnetlink
