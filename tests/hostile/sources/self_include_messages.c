#pragma message("The quick brown fox jumps over the lazy dog, again and again and again and again.")
#if __INCLUDE_LEVEL__ < 40
#include __FILE__
#include __FILE__
#endif
