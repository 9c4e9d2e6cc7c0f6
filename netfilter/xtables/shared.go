package xtables

import "sync"

// Shared is what extensions of one instance have in common: lists of recent
// addresses, sets. The zero value is ready.
type Shared struct {
	mu sync.Mutex
	m  map[string]any
}

// Get returns what is kept under a name, made by the first who asks.
func (s *Shared) Get(name string, make func() any) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.m[name]
	if !ok {
		v = make()
		if s.m == nil {
			s.m = map[string]any{}
		}
		s.m[name] = v
	}
	return v
}
