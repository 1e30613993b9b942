int first;
#line 3 "/dev/urandom"
int a = undeclared;
