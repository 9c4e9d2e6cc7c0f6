// Package ipset holds named sets of addresses, networks, ports and what goes
// with them, which the match "set" and the target SET of iptables ask and change
// (Linux: net/netfilter/ipset), and the ipset command over them.
//
// A [Sets] is what one network namespace has. A rule holds a [Ref]: the place of
// a name, so that "swap" exchanges what the rule sees in one step, and a set that
// a rule or a list refers to cannot be destroyed.
//
// All types share one store: a hash table of comparable [Key]s whose chains are
// read without a lock; what changes a set holds the set's mutex. A type says
// which parts of the key it has ([typeInfo]). A bitmap type is the same store with
// a range that keys must be in. Tables are bounded by maxelem: when a set is full
// the entries that have timed out are thrown away, then, with forceadd, any one;
// otherwise the add fails. There is no timer: what has timed out is not seen, and
// its memory is used again when the table grows or is full.
//
// Types: hash:ip hash:net hash:ip,port hash:net,port hash:ip,port,ip
// hash:ip,port,net hash:net,port,net hash:net,net hash:net,iface hash:ip,mark
// hash:ip,mac hash:mac bitmap:ip bitmap:port list:set; extensions
// timeout, counters, comment, nomatch, forceadd. Refused: bitmap:ip,mac, family
// inet6, skbinfo, bitmask, a wildcard in interface names.
package ipset
