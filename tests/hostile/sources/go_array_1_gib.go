package main

var array = [1 << 30]byte{1<<30 - 1: 1}

func main() { println(array[0]) }
