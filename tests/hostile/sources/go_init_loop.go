package main

var _ = loop()

func loop() int {
	for {
	}
}

func init() { loop() }

func main() { loop() }
