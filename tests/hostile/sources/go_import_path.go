package main

import (
	_ "../../../../../../etc"
	_ "/etc"
	_ "example.com/\x1b[2J\x1b]52;c;cHduZWQ=\x07"
)

func main() {}
