package xtables

import "strings"

// AppendString appends " s" as iptables-save does: in quotes, with escapes,
// unless it is one plain word (xtables_save_string).
func AppendString(b []byte, s string) []byte {
	b = append(b, ' ')
	plain := s != ""
	for i := range len(s) {
		c := s[i]
		plain = plain && (c == '_' || c == '-' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z')
	}
	if plain {
		return append(b, s...)
	}
	b = append(b, '"')
	for i := range len(s) {
		if strings.IndexByte("\"\\'", s[i]) >= 0 {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}
