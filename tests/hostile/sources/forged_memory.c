#line 1 "nowhere.c"
#error virtual memory exhausted: Cannot allocate memory
