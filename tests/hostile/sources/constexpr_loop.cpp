constexpr int forever() {
    for (;;) {
    }
    return 0;
}
constexpr int never = forever();
