package main

// #cgo CFLAGS: -fplugin=/tmp/evil.so
// #cgo LDFLAGS: -Wl,-T,/etc/passwd
// #include "@SECRET_TMP@"
import "C"

func main() {}
