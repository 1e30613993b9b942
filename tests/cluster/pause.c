/* What holds a namespace open and buries the dead in it: the sandbox of each pod, and the node itself. */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

int main(void) {
    sigset_t all;
    int number;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    for (;;) {
        if (sigwait(&all, &number) != 0) {
            continue;
        }
        if (number == SIGTERM || number == SIGINT) {
            return 0;
        }
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
    }
}
