package xt

import (
	"strconv"
	"strings"

	"barewire/skb/header"
)

// serviceTable is what /etc/services has on Debian: port, protocols (t for TCP,
// u for UDP, s for SCTP), the name and other names. read-only
const serviceTable = `
1/t tcpmux
7/tu echo
9/tu discard sink null
11/t systat users
13/tu daytime
15/t netstat
17/t qotd quote
19/tu chargen ttytst source
20/t ftp-data
21/t ftp
21/u fsp fspd
22/t ssh
23/t telnet
25/t smtp mail
37/tu time timserver
43/t whois nicname
49/tu tacacs
53/tu domain
67/u bootps
68/u bootpc
69/u tftp
70/t gopher
79/t finger
80/t http www
88/tu kerberos kerberos5 krb5 kerberos-sec
102/t iso-tsap tsap
104/t acr-nema dicom
106/t poppassd
110/t pop3 pop-3
111/tu sunrpc portmapper
113/t auth authentication tap ident
119/t nntp readnews untp
123/u ntp
135/t epmap loc-srv
137/u netbios-ns
138/u netbios-dgm
139/t netbios-ssn
143/t imap2 imap
161/tu snmp
162/tu snmp-trap snmptrap
163/tu cmip-man
164/tu cmip-agent
174/t mailq
177/u xdmcp
179/t bgp
199/t smux
209/t qmtp
210/t z3950 wais
213/u ipx
319/u ptp-event
320/u ptp-general
345/t pawserv
346/t zserv
369/tu rpc2portmap
370/tu codaauth2
371/u clearcase Clearcase
389/tu ldap
427/tu svrloc
443/tu https
444/t snpp
445/t microsoft-ds
464/tu kpasswd
465/t submissions ssmtp smtps urd
487/t saft
500/u isakmp
512/t exec
512/u biff comsat
513/t login
513/u who whod
514/t shell cmd syslog
514/u syslog
515/t printer spooler
517/u talk
518/u ntalk
520/u route router routed
538/tu gdomap
540/t uucp uucpd
543/t klogin
544/t kshell krcmd
546/u dhcpv6-client
547/u dhcpv6-server
548/t afpovertcp
554/tu rtsp
563/t nntps snntp
587/t submission
607/t nqs
623/u asf-rmcp
628/t qmqp
631/t ipp
636/tu ldaps
646/tu ldp
655/tu tinc
706/t silc
749/t kerberos-adm
750/tu kerberos4 kerberos-iv kdc
751/tu kerberos-master kerberos_master
752/u passwd-server passwd_server
754/t krb-prop krb_prop krb5_prop hprop
775/t moira-db moira_db
777/t moira-update moira_update
779/u moira-ureg moira_ureg
783/t spamd
853/tu domain-s
871/t supfilesrv
873/t rsync
989/t ftps-data
990/t ftps
992/t telnets
993/t imaps
995/t pop3s
1080/t socks
1093/t proofd
1094/t rootd
1099/t rmiregistry
1127/t supfiledbg
1178/t skkserv
1194/tu openvpn
1210/u predict
1236/t rmtcfg
1313/t xtel
1314/t xtelw
1352/t lotusnote lotusnotes
1433/t ms-sql-s
1434/u ms-sql-m
1524/t ingreslock
1645/tu datametrics old-radius
1646/tu sa-msg-port old-radacct
1649/t kermit
1677/t groupwise
1701/u l2f l2tp
1812/tu radius
1813/tu radius-acct radacct
2000/t cisco-sccp
2049/tu nfs
2086/tu gnunet
2101/tu rtcm-sc104
2102/u zephyr-srv
2103/u zephyr-clt
2104/u zephyr-hm
2119/t gsigatekeeper
2121/t iprop
2135/t gris
2401/t cvspserver
2430/tu venus
2431/tu venus-se
2432/tu codasrv
2433/tu codasrv-se
2583/tu mon
2600/t zebrasrv
2601/t zebra
2602/t ripd
2603/t ripngd
2604/t ospfd
2605/t bgpd
2606/t ospf6d
2607/t ospfapi
2608/t isisd
2628/t dict
2792/t f5-globalsite
2811/t gsiftp
2947/t gpsd
3050/t gds-db gds_db
3130/u icpv2 icp
3205/tu isns
3260/t iscsi-target
3306/t mysql
3389/t ms-wbt-server
3493/tu nut
3632/t distcc
3689/t daap
3690/t svn subversion
4031/t suucp
4094/t sysrqd
4190/t sieve
4353/t f5-iquery
4369/t epmd
4373/t remctl
4460/t ntske
4500/u ipsec-nat-t
4557/t fax
4559/t hylafax
4569/u iax
4691/t mtn
4899/t radmin-port
4949/t munin lrrd
5060/tu sip
5061/tu sip-tls
5222/t xmpp-client jabber-client
5269/t xmpp-server jabber-server
5308/t cfengine
5353/u mdns
5432/t postgresql postgres
5555/u rplay
5556/t freeciv rptp
5666/t nrpe
5667/t nsca
5671/t amqps
5672/ts amqp
5680/t canna
6000/t x11 x11-0
6001/t x11-1
6002/t x11-2
6003/t x11-3
6004/t x11-4
6005/t x11-5
6006/t x11-6
6007/t x11-7
6346/tu gnutella-svc
6347/tu gnutella-rtr
6379/t redis
6444/t sge-qmaster sge_qmaster
6445/t sge-execd sge_execd
6446/t mysql-proxy
6514/t syslog-tls
6566/t sane-port sane saned
6667/t ircd
6696/u babel
6697/t ircs-u
7000/t bbs
7000/u afs3-fileserver
7001/u afs3-callback
7002/u afs3-prserver
7003/u afs3-vlserver
7004/u afs3-kaserver
7005/u afs3-volser
7007/u afs3-bos
7008/u afs3-update
7009/u afs3-rmtsys
7100/t font-service xfs
8021/t zope-ftp
8080/t http-alt webcache
8081/t tproxy
8088/t omniorb
8140/t puppet
8990/t clc-build-daemon
9098/t xinetd
9101/t bacula-dir
9102/t bacula-fd
9103/t bacula-sd
9418/t git
9667/t xmms2
9673/t zope
10000/t webmin
10050/t zabbix-agent
10051/t zabbix-trapper
10080/t amanda
10081/t kamanda
10082/t amandaidx
10083/t amidxtape
10809/t nbd
11112/t dicom
11371/t hkp
17001/u sgi-cmsd
17002/u sgi-crsd
17003/u sgi-gcd
17004/t sgi-cad
17500/t db-lsp
22125/t dcap
22128/t gsidcap
22273/t wnn6
24554/t binkp
27374/tu asp
30865/t csync2
57000/t dircproxy
60177/t tfido
60179/t fido
`

// eachService calls fn for the services of a protocol until it returns true.
func eachService(proto uint8, fn func(port uint16, names string) bool) {
	var p byte
	switch proto {
	case header.ProtoTCP:
		p = 't'
	case header.ProtoUDP, header.ProtoUDPLite:
		p = 'u'
	case 132:
		p = 's'
	default:
		return
	}
	rest := serviceTable[1:]
	for rest != "" {
		var l string
		l, rest, _ = strings.Cut(rest, "\n")
		key, names, _ := strings.Cut(l, " ")
		num, protos, _ := strings.Cut(key, "/")
		if strings.IndexByte(protos, p) < 0 {
			continue
		}
		n, _ := strconv.ParseUint(num, 10, 16)
		if fn(uint16(n), names) {
			return
		}
	}
}

// serviceNumber returns the port of a service.
func serviceNumber(name string, proto uint8) (port uint16, ok bool) {
	eachService(proto, func(p uint16, names string) bool {
		for n := range strings.FieldsSeq(names) {
			if n == name {
				port, ok = p, true
			}
		}
		return ok
	})
	return port, ok
}

// serviceName returns the name of a port, empty if it has none.
func serviceName(port uint16, proto uint8) (name string) {
	eachService(proto, func(p uint16, names string) bool {
		if p == port {
			name, _, _ = strings.Cut(names, " ")
		}
		return name != ""
	})
	return name
}
