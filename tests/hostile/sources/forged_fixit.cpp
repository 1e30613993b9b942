static_assert(sizeof(int) == 1, "\nfix-it:\"forged_fixit.cpp\":{1:1-1:14}:\"#include </etc/passwd>\"\n/etc/passwd:1:1: error: forged\n");
