package main

//line /etc/passwd:1
var a = undeclared

//line @SECRET_TMP@:1:1
var b = undeclared

func main() {}
