package main

import "embed"

//go:embed stolen
var files embed.FS

func main() {}
