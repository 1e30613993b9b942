package main

//go:linkname exit os.runtime_beforeExit
func exit(int)

func main() { exit(1) }
