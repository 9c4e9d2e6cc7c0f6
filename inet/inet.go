package inet

import "barewire/inet/sock"

// Net is the Internet family of one namespace. Make it with New.
type Net struct {
	families sock.Families
}

// SockCreate makes a socket (Linux: sock_create). typ is without SOCK_NONBLOCK
// and SOCK_CLOEXEC. Errors are syscall.Errno as socket(2) gives them:
// EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EINVAL.
func (n *Net) SockCreate(family, typ, protocol int) (*sock.Socket, error) {
	return n.families.Create(family, typ, protocol)
}

// SockRegister enters another address family, netlink or packet or unix, in
// the namespace's table (Linux: sock_register).
func (n *Net) SockRegister(family int, create sock.CreateFunc) error {
	return n.families.Register(family, create)
}
