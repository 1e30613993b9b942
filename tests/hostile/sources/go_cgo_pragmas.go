package main

//go:cgo_ldflag "-Wl,-T,/etc/passwd"
//go:cgo_import_dynamic _ _ "/tmp/evil.so"

func main() {}
