#include "/dev/stdin"
#error end
