// Package xt holds the matches and targets of the tables, one file for each or
// for a family: their options, their printed forms, and what they do to a packet
// (Linux: net/netfilter/xt_*.c, and the extensions of iptables).
//
// Options, the order in which they are printed and the wording are those of
// iptables-legacy 1.8.9.
package xt

import "barewire/netfilter/xtables"

// FindMatch returns the definition of the match -m name, nil if there is none.
func FindMatch(name string) *xtables.Def {
	if d := find(matches, name); d != nil {
		return d
	}
	return find(moreMatches, name)
}

// FindTarget returns the definition of the target -j name, nil if there is
// none.
func FindTarget(name string) *xtables.Def {
	if d := find(targets, name); d != nil {
		return d
	}
	return find(moreTargets, name)
}

func find(l []*xtables.Def, name string) *xtables.Def {
	for _, d := range l {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// Matches returns all matches.
func Matches() []*xtables.Def { return append(matches[:len(matches):len(matches)], moreMatches...) }

// Targets returns all targets.
func Targets() []*xtables.Def { return append(targets[:len(targets):len(targets)], moreTargets...) }
