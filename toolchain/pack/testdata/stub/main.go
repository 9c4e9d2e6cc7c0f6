// Stub is never run: building it for 386 assembles the stub.
package main

func stub()

func main() { stub() }
