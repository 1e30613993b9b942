/* What a compiler does that an attacker has taken over: it tries to get out, and prints each thing that it could do.
   Built and run as if it were gcc by test_isolation.py. One line a fact: "name value". */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

static void tried(const char *name, long result) {
    printf("%s %s\n", name, result >= 0 ? "succeeded" : strerror(errno));
}

static void read_file(const char *path) {
    char text[64];
    int fd = open(path, O_RDONLY);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    printf("read:%s %s\n", path, got >= 0 ? "succeeded" : strerror(errno));
    if (got > 0 && !strcmp(path, "/etc/passwd")) printf("passwd %.*s\n", (int)got, text);
    if (fd >= 0) close(fd);
}

static void write_file(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    printf("write:%s %s\n", path, fd >= 0 ? "succeeded" : strerror(errno));
    if (fd >= 0) close(fd);
}

static void list(const char *path) {
    DIR *directory = opendir(path);
    if (!directory) {
        printf("list:%s %s\n", path, strerror(errno));
        return;
    }
    printf("list:%s", path);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.') printf(" %s", entry->d_name);
    printf("\n");
    closedir(directory);
}

int main(int argc, char **argv) {
    int pair[2];
    struct rlimit nothing = {0, 0};
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0) printf("open:%d yes\n", fd);
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!strncmp(argv[i], "read=", 5)) read_file(value + 1);
        else if (!strncmp(argv[i], "write=", 6)) write_file(value + 1);
        else if (!strncmp(argv[i], "list=", 5)) list(value + 1);
        else if (!strncmp(argv[i], "change=", 7)) {
            tried("chmod", chmod(value + 1, 04777));
            tried("utime", utimensat(AT_FDCWD, value + 1, (struct timespec[]){{0, 0}, {0, 0}}, 0));
            tried("truncate", truncate(value + 1, 0));
        } else if (!strncmp(argv[i], "signal=", 7)) tried("signal", kill(atoi(value + 1), 0));
        else if (!strncmp(argv[i], "prlimit=", 8)) tried("prlimit", prlimit(atoi(value + 1), RLIMIT_CORE, &nothing, 0));
    }
    tried("socket:inet", socket(AF_INET, SOCK_STREAM, 0));
    tried("socket:inet6", socket(AF_INET6, SOCK_DGRAM, 0));
    tried("socket:unix", socket(AF_UNIX, SOCK_STREAM, 0));
    tried("socket:netlink", socket(AF_NETLINK, SOCK_RAW, 0));
    tried("socket:vsock", socket(40, SOCK_STREAM, 0));
    tried("socketpair:unix", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    tried("unshare:user", unshare(CLONE_NEWUSER));
    tried("clone:user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    tried("clone3", syscall(SYS_clone3, 0, 0));
    tried("mount", mount("none", "/", "tmpfs", 0, 0));
    tried("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0));
    tried("keyctl", syscall(SYS_keyctl, 0, -3, 1));
    tried("bpf", syscall(SYS_bpf, 5, 0, 0));
    tried("io_uring", syscall(SYS_io_uring_setup, 1, 0));
    tried("perf", syscall(SYS_perf_event_open, 0, 0, -1, -1, 0));
    tried("userfaultfd", syscall(SYS_userfaultfd, 0));
    tried("open_by_handle", syscall(SYS_open_by_handle_at, 0, 0, 0));
    tried("process_vm_readv", syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0));
    tried("kexec", syscall(SYS_kexec_load, 0, 0, 0, 0));
    tried("shmget", syscall(SYS_shmget, 0, 4096, 0600));
    tried("typing", ioctl(1, TIOCSTI, "x"));
    tried("setuid", setuid(0));
    tried("chroot", chroot("/"));
    printf("uid %d\n", getuid());
    printf("groups %d\n", getgroups(0, 0));
    for (char **variable = environ; *variable; variable++) printf("environment:%s\n", *variable);
    unsigned header[2] = {0x20080522, 0}, data[6];
    if (!syscall(SYS_capget, header, data)) printf("capabilities %x %x %x\n", data[0] | data[3], data[1] | data[4], data[2] | data[5]);
    return 0;
}
