//go:build tamago

// This file lets the package declare functions without a body: they are the
// runtime's, reached by go:linkname.
