module hostile

go 1.99

toolchain go1.99.9
