//go:build !barewire

package main

func deep(string) {}
