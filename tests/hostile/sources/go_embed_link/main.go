package main

import _ "embed"

//go:embed stolen.txt
var text string

func main() {}
