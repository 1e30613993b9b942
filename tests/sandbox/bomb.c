/* A compiler that takes more than it may: argv[1] says of what. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
    char *kind = argc > 1 ? argv[1] : "";
    if (!strcmp(kind, "memory"))
        for (;;) {
            char *block = malloc(1 << 20);
            if (block) memset(block, 1, 1 << 20);
        }
    if (!strcmp(kind, "shared-memory-of-many")) { /* none of them is large by itself */
        for (int i = 0; i < 8; i++)
            if (fork() == 0) {
                char *block = malloc(40 << 20);
                memset(block, 1, 40 << 20);
                pause();
            }
        pause();
    }
    if (!strcmp(kind, "shared")) /* memory that is no process's own */
        for (;;) {
            char *block = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            if (block != MAP_FAILED) memset(block, 1, 1 << 20);
        }
    if (!strcmp(kind, "files")) /* many, none of them too large */
        for (int i = 0;; i++) {
            char name[64];
            static char block[1 << 20];
            snprintf(name, sizeof name, "../tmp/%d", i);
            int file = open(name, O_CREAT | O_WRONLY, 0600);
            if (file < 0 || write(file, block, sizeof block) < 0) usleep(1000);
            if (file >= 0) close(file);
        }
    if (!strcmp(kind, "processes"))
        for (;;)
            if (fork() < 0) usleep(1000);
    if (!strcmp(kind, "output"))
        for (;;) puts("more");
    if (!strcmp(kind, "file")) {
        int file = open("../tmp/out", O_CREAT | O_WRONLY, 0600);
        static char block[1 << 20];
        while (write(file, block, sizeof block) > 0) {}
        return 1;
    }
    if (!strcmp(kind, "deep")) { /* directories nested deeper than a path can say */
        if (chdir("../tmp")) return 2;
        for (int i = 0; i < 3000; i++)
            if (mkdir("0123456789", 0700) || chdir("0123456789")) return 3;
        return 0;
    }
    if (!strcmp(kind, "signal")) abort();
    return 0;
}
