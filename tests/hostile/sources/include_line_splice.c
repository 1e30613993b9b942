#inc\
lude "/etc/pas\
swd"
int main(void) { return 0; }
