#include "/proc/1/cmdline"
#error end
