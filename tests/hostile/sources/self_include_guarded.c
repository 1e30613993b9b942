#ifndef AGAIN
#define AGAIN
#include "self_include_guarded.c"
int main(void) { return 0; }
#endif
