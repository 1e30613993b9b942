int first;
#line 1 "/etc/passwd"
int a = undeclared_one;
int b = undeclared_two;
