package main

//go:generate sh -c "cat /etc/passwd; touch @SECRET_TMP@.touched"

func main() {}
