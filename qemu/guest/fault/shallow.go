//go:build !tamago

package main

func deep(string) {}
