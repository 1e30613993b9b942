package main

var array [1 << 62]int

func main() { println(array[0]) }
