#include "/proc/self/environ"
#error end
