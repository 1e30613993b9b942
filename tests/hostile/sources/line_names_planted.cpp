int first;
#line 1 "@SECRET_TMP@"
int a = undeclared_one;
int b = undeclared_two;
