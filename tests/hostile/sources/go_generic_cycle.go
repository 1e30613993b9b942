package main

func grow[T any](depth int) {
	if depth > 0 {
		grow[*T](depth - 1)
	}
}

func main() { grow[int](10) }
