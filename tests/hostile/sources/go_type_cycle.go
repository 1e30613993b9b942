package main

type T [len(T{}) + 1]int

func main() {}
