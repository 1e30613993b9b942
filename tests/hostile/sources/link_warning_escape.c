__attribute__((section(".gnu.warning.exit"), used)) static const char text[] = "\033[2J\033]52;c;cHduZWQ=\007\nlink_warning_escape.c: rejected";
void exit(int);
int main(void) { exit(0); }
