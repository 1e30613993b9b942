const unsigned char noise[] = {
#embed </dev/urandom> limit(16)
};
