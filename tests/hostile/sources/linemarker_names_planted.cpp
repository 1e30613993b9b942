# 1 "@SECRET_SHM@" 1 3 4
int a = undeclared_one;
# 1 "@SECRET_HOME@"
int b = undeclared_two;
