#pragma comment(linker, "-plugin /tmp/evil.so")
#pragma comment(lib, "/etc/passwd")
#pragma comment(exestr, "\033[2J")
int main(void) { return 0; }
