/* Sends process 1 a SIGTERM in each way that there is without a filter, some of which hide whom it is from. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int sent = 0;
    sent += kill(1, SIGTERM) == 0;
    sent += syscall(SYS_tgkill, 1, 1, SIGTERM) == 0;

    /* With a sender of its own invention. */
    for (int code = -10; code < 10; code++) {
        siginfo_t info;
        memset(&info, 0, sizeof info);
        info.si_signo = SIGTERM;
        info.si_code = code;
        sent += syscall(SYS_rt_sigqueueinfo, 1, SIGTERM, &info) == 0;
        sent += syscall(SYS_rt_tgsigqueueinfo, 1, 1, SIGTERM, &info) == 0;
    }

    /* By the kernel, when a pipe can be read. */
    int ends[2];
    if (pipe(ends) == 0 && fcntl(ends[0], F_SETOWN, 1) == 0 && fcntl(ends[0], F_SETSIG, SIGTERM) == 0 &&
        fcntl(ends[0], F_SETFL, O_ASYNC) == 0)
        for (int i = 0; i < 100; i++)
            sent += write(ends[1], "x", 1) == 1;

    /* When as many signals are pending as this user may have. */
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    while (syscall(SYS_tgkill, getpid(), getpid(), SIGRTMAX) == 0)
        continue;
    for (int i = 0; i < 100; i++)
        sent += syscall(SYS_tgkill, 1, 1, SIGTERM) == 0;
    printf("%s\n", sent > 200 ? "sent" : "not sent");
    return 0;
}
