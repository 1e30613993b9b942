package main

const (
	a = 1<<400 + 1
	b = a * a
	c = b * b
	d = c * c
	e = d * d
)

func main() { println(e == 0) }
