#include "other.h"
int main(void) { return 0; }
