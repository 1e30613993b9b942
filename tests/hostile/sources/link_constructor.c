__attribute__((constructor)) static void before_main(void) {
    for (;;) {
    }
}
int main(void) { return 0; }
