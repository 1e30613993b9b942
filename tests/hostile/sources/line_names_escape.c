#line 1 "\033[2J\033]52;c;cHduZWQ=\007\nmain.c"
int a = undeclared;
