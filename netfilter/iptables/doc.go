// Package iptables is the language of the packet tables: the command lines of
// iptables, iptables-save and iptables-restore, which behave as the version named
// by [Version] in its legacy form: same options and abbreviations, same output,
// same exit statuses, the same messages where a program might read them.
//
//	command line ─ getopt.go ─ command.go ─┐
//	restore file ─ token.go ─ restore.go ──┴─ apply.go ─ xtables.Config ─ Tables.Replace
//	                                          list.go, save.go: text of a Config
//
// What an extension's options are and mean is the extension's own
// ([xtables.Def]); this package finds options by name, as getopt_long does, and
// hands them over.
//
// Different from iptables:
//   - An error in a restore file names line and column.
//   - A restore file is read and checked as a whole, all of its tables, before
//     the first of them is replaced: one that fails changes nothing at all.
//   - A quote in a restore file that is not closed is an error, and so is a line
//     outside of a table that is not empty or a comment.
//   - An argument may stand in one word with its option, as in -jACCEPT and
//     --jump=ACCEPT, also of those options with which 1.8.9 does not find it.
//   - -M is taken and ignored, there is nothing to load; so are -w and -W, as
//     nothing waits.
//   - -h lists options in words of its own.
//   - With -v twice, what iptables prints of the table in the kernel is left out.
//
// An extension that is not there is refused as one whose library is missing, at
// the line and column where it is named. Of the matches of iptables those are
// cgroup, nfacct, osf and rateest.
package iptables

// Version is the version of iptables whose language this is.
const Version = "1.8.9"
