package main

func stolen()

func main() { stolen() }
