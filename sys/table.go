package sys

// callTable maps the numbers of Linux on amd64 to functions; it is read-only.
var callTable = [numNames]callFunc{
	// file.go, fdtable.go, path.go
	0:   sysRead,       // read
	1:   sysWrite,      // write
	19:  sysReadv,      // readv
	20:  sysWritev,     // writev
	17:  sysPread64,    // pread64
	18:  sysPwrite64,   // pwrite64
	295: sysPreadv,     // preadv
	296: sysPwritev,    // pwritev
	327: sysPreadv2,    // preadv2
	328: sysPwritev2,   // pwritev2
	8:   sysLseek,      // lseek
	2:   sysOpen,       // open
	257: sysOpenat,     // openat
	3:   sysClose,      // close
	436: sysCloseRange, // close_range
	32:  sysDup,        // dup
	33:  sysDup2,       // dup2
	292: sysDup3,       // dup3
	72:  sysFcntl,      // fcntl
	16:  sysIoctl,      // ioctl
	74:  sysFsync,      // fsync
	75:  sysFsync,      // fdatasync
	162: ret(0),        // sync
	4:   sysStat,       // stat
	5:   sysFstat,      // fstat
	6:   sysLstat,      // lstat
	262: sysNewfstatat, // newfstatat
	21:  sysAccess,     // access
	269: sysFaccessat,  // faccessat
	439: sysFaccessat,  // faccessat2
	89:  sysReadlink,   // readlink
	267: sysReadlinkat, // readlinkat
	217: sysGetdents64, // getdents64
	79:  sysGetcwd,     // getcwd
	80:  sysChdir,      // chdir
	81:  sysFchdir,     // fchdir
	95:  sysUmask,      // umask
	332: sysStatx,      // statx
	306: sysFsync,      // syncfs

	// fsnames.go, fsattr.go, copyfile.go, splice.go
	83:  sysMkdir,         // mkdir
	258: sysMkdirat,       // mkdirat
	84:  sysRmdir,         // rmdir
	87:  sysUnlink,        // unlink
	263: sysUnlinkat,      // unlinkat
	82:  sysRename,        // rename
	264: sysRenameat,      // renameat
	316: sysRenameat2,     // renameat2
	86:  sysLink,          // link
	265: sysLinkat,        // linkat
	88:  sysSymlink,       // symlink
	266: sysSymlinkat,     // symlinkat
	133: sysMknod,         // mknod
	259: sysMknodat,       // mknodat
	85:  sysCreat,         // creat
	90:  sysChmod,         // chmod
	91:  sysFchmod,        // fchmod
	268: sysFchmodat,      // fchmodat
	452: sysFchmodat2,     // fchmodat2
	92:  sysChown,         // chown
	93:  sysFchown,        // fchown
	94:  sysLchown,        // lchown
	260: sysFchownat,      // fchownat
	235: sysUtimes,        // utimes
	280: sysUtimensat,     // utimensat
	76:  sysTruncate,      // truncate
	77:  sysFtruncate,     // ftruncate
	285: sysFallocate,     // fallocate
	137: sysStatfs,        // statfs
	138: sysFstatfs,       // fstatfs
	40:  sysSendfile,      // sendfile
	275: sysSplice,        // splice
	326: sysCopyFileRange, // copy_file_range
	73:  sysFlock,         // flock
	221: sysFadvise64,     // fadvise64
	165: sysMount,         // mount
	166: sysUmount2,       // umount2
	308: sysSetns,         // setns
	272: sysUnshare,       // unshare
	188: sysXattr,         // setxattr
	189: sysXattr,         // lsetxattr
	190: sysXattr,         // fsetxattr
	191: sysXattr,         // getxattr
	192: sysXattr,         // lgetxattr
	193: sysXattr,         // fgetxattr
	194: sysXattr,         // listxattr
	195: sysXattr,         // llistxattr
	196: sysXattr,         // flistxattr
	197: sysXattr,         // removexattr
	198: sysXattr,         // lremovexattr
	199: sysXattr,         // fremovexattr

	// pipe.go, eventfd.go
	22:  sysPipe,     // pipe
	293: sysPipe2,    // pipe2
	284: sysEventfd,  // eventfd
	290: sysEventfd2, // eventfd2

	// poll.go, epoll.go
	7:   sysPoll,         // poll
	271: sysPpoll,        // ppoll
	23:  sysSelect,       // select
	270: sysPselect6,     // pselect6
	213: sysEpollCreate,  // epoll_create
	291: sysEpollCreate1, // epoll_create1
	233: sysEpollCtl,     // epoll_ctl
	232: sysEpollWait,    // epoll_wait
	281: sysEpollPwait,   // epoll_pwait
	441: sysEpollPwait2,  // epoll_pwait2

	// socket.go, sockmsg.go
	41:  sysSocket,      // socket
	53:  sysSocketpair,  // socketpair
	49:  sysBind,        // bind
	42:  sysConnect,     // connect
	50:  sysListen,      // listen
	43:  sysAccept,      // accept
	288: sysAccept4,     // accept4
	51:  sysGetsockname, // getsockname
	52:  sysGetpeername, // getpeername
	48:  sysShutdown,    // shutdown
	54:  sysSetsockopt,  // setsockopt
	55:  sysGetsockopt,  // getsockopt
	44:  sysSendto,      // sendto
	45:  sysRecvfrom,    // recvfrom
	46:  sysSendmsg,     // sendmsg
	47:  sysRecvmsg,     // recvmsg
	307: sysSendmmsg,    // sendmmsg
	299: sysRecvmmsg,    // recvmmsg

	// time.go
	228: sysClockGettime,   // clock_gettime
	229: sysClockGetres,    // clock_getres
	230: sysClockNanosleep, // clock_nanosleep
	35:  sysNanosleep,      // nanosleep
	96:  sysGettimeofday,   // gettimeofday
	201: sysTime,           // time
	100: sysTimes,          // times

	// klog.go
	103: sysSyslog, // syslog

	// settime.go
	227: sysClockSettime, // clock_settime
	164: sysSettimeofday, // settimeofday

	// memory.go
	9:   sysMmap,     // mmap
	11:  sysMunmap,   // munmap
	25:  sysMremap,   // mremap
	10:  sysMprotect, // mprotect
	28:  sysMadvise,  // madvise
	149: sysMlock,    // mlock
	325: sysMlock,    // mlock2
	150: sysMlock,    // munlock
	12:  sysBrk,      // brk

	// process.go
	39:  ret(initPid),        // getpid
	186: ret(initPid),        // gettid
	110: ret(0),              // getppid
	111: ret(initPid),        // getpgrp
	121: sysGetpgid,          // getpgid
	124: sysGetpgid,          // getsid
	102: ret(0),              // getuid
	107: ret(0),              // geteuid
	104: ret(0),              // getgid
	108: ret(0),              // getegid
	118: sysGetresid,         // getresuid
	120: sysGetresid,         // getresgid
	115: sysGetgroups,        // getgroups
	60:  sysExit,             // exit
	231: sysExit,             // exit_group
	62:  sysKill,             // kill
	200: sysTkill,            // tkill
	234: sysTgkill,           // tgkill
	24:  sysSchedYield,       // sched_yield
	204: sysSchedGetaffinity, // sched_getaffinity
	309: sysGetcpu,           // getcpu
	318: sysGetrandom,        // getrandom
	63:  sysUname,            // uname
	170: sysSethostname,      // sethostname
	171: sysSetdomainname,    // setdomainname
	97:  sysGetrlimit,        // getrlimit
	160: sysSetrlimit,        // setrlimit
	302: sysPrlimit64,        // prlimit64
	98:  sysGetrusage,        // getrusage
	99:  sysSysinfo,          // sysinfo
	157: sysPrctl,            // prctl
	13:  sysRtSigaction,      // rt_sigaction
	14:  sysRtSigprocmask,    // rt_sigprocmask
	131: sysSigaltstack,      // sigaltstack
	218: ret(initPid),        // set_tid_address
	273: ret(0),              // set_robust_list
}
