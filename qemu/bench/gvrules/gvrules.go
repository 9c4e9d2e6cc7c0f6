// Package gvrules is package rules for gVisor's netstack, whose tables are made of
// values and not of words. Its address translation tracks connections by itself.
package gvrules

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Masquerade has what leaves bear the address of the link it leaves by.
func Masquerade(s *stack.Stack) {
	accept, wrong := &stack.AcceptTarget{NetworkProtocol: header.IPv4ProtocolNumber}, &stack.ErrorTarget{NetworkProtocol: header.IPv4ProtocolNumber}
	none := stack.IPHeaderFilter{}
	s.IPTables().ReplaceTable(stack.NATID, stack.Table{
		Rules: []stack.Rule{
			{Filter: none, Target: accept}, {Filter: none, Target: accept}, {Filter: none, Target: accept},
			{Filter: none, Target: &stack.MasqueradeTarget{NetworkProtocol: header.IPv4ProtocolNumber}}, {Filter: none, Target: accept}, {Filter: none, Target: wrong},
		},
		BuiltinChains: [stack.NumHooks]int{stack.Prerouting: 0, stack.Input: 1, stack.Forward: stack.HookUnset, stack.Output: 2, stack.Postrouting: 3},
		Underflows:    [stack.NumHooks]int{stack.Prerouting: 0, stack.Input: 1, stack.Forward: stack.HookUnset, stack.Output: 2, stack.Postrouting: 4},
	}, false)
}

// Drop puts n rules that drop the sources 10.200.0.0/24, 10.200.1.0/24 and so on
// before the end of FORWARD, which accepts.
func Drop(s *stack.Stack, n int) {
	accept := &stack.AcceptTarget{NetworkProtocol: header.IPv4ProtocolNumber}
	none := stack.IPHeaderFilter{}
	t := stack.Table{Rules: []stack.Rule{{Filter: none, Target: accept}}}
	for i := range n {
		t.Rules = append(t.Rules, stack.Rule{
			Filter: stack.IPHeaderFilter{Src: tcpip.AddrFrom4([4]byte{10, 200, byte(i), 0}), SrcMask: tcpip.AddrFrom4([4]byte{255, 255, 255, 0})},
			Target: &stack.DropTarget{NetworkProtocol: header.IPv4ProtocolNumber},
		})
	}
	end := len(t.Rules)
	t.Rules = append(t.Rules, stack.Rule{Filter: none, Target: accept}, stack.Rule{Filter: none, Target: accept},
		stack.Rule{Filter: none, Target: &stack.ErrorTarget{NetworkProtocol: header.IPv4ProtocolNumber}})
	t.BuiltinChains = [stack.NumHooks]int{stack.Prerouting: stack.HookUnset, stack.Input: 0, stack.Forward: 1, stack.Output: end + 1, stack.Postrouting: stack.HookUnset}
	t.Underflows = [stack.NumHooks]int{stack.Prerouting: stack.HookUnset, stack.Input: 0, stack.Forward: end, stack.Output: end + 1, stack.Postrouting: stack.HookUnset}
	s.IPTables().ReplaceTable(stack.FilterID, t, false)
}
