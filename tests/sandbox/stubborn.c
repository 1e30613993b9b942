/* A compiler that will not go: it ignores signals, leaves its session, and has children that do the same. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    for (int i = 0; i < 5; i++)
        if (fork() == 0) {
            setsid();
            if (fork() != 0) _exit(0);
            for (;;) pause();
        }
    printf("running\n");
    fflush(stdout);
    if (argc > 1 && !strcmp(argv[1], "leave")) return 0; /* and leaves them behind */
    for (;;) pause();
}
