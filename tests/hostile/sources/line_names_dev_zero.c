int first;
#line 1 "/dev/zero"
int a = undeclared;
